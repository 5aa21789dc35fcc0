//! The linear stream table and its 64-byte entries (IHI 0070 3.3.1, 5.2; Linux `STRTAB_STE_*`; QEMU `STE_*`).

use super::config::Regime;
use super::features::Features;
use crate::dma::DmaBarriers;
use crate::iommu::memory::Table;

/// Words of one entry.
const WORDS: usize = 8;

mod bits {
    // Word 0.
    pub(super) const VALID: u64 = 1;
    pub(super) const CONFIG_STAGE_1: u64 = 0b101 << 1;
    pub(super) const CONTEXT_MAX_SHIFT: u32 = 59;
    // Word 1.
    /// Traffic without a substream uses context 0.
    pub(super) const DEFAULT_SUBSTREAM_0: u64 = 0b10;
    /// Fetches of contexts: write-back, inner shareable.
    pub(super) const CONTEXT_FETCH_COHERENT: u64 = 0b01 << 2 | 0b01 << 4 | 0b11 << 6;
    /// Fetches of contexts: non-cacheable, outer shareable.
    pub(super) const CONTEXT_FETCH_NON_COHERENT: u64 = 0b10 << 6;
    pub(super) const STALLS_DISABLED: u64 = 1 << 27;
    pub(super) const ATS_FULL: u64 = 0b01 << 28;
    pub(super) const WORLD_EL2: u64 = 0b10 << 30;
    pub(super) const SHAREABILITY_INCOMING: u64 = 0b01 << 44;
}

/// The first two words of an entry; the others are zero without stage 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamTableEntry([u64; 2]);

impl StreamTableEntry {
    /// Stage 1 translation through the contexts at `contexts`, which is aligned to them and lies where the SMMU reaches it: bits 55:6.
    pub(super) fn translate(
        contexts: u64,
        substream_bits: u8,
        ats: bool,
        regime: Regime,
        features: &Features,
    ) -> Self {
        let w0 = bits::VALID
            | bits::CONFIG_STAGE_1
            | contexts
            | u64::from(substream_bits) << bits::CONTEXT_MAX_SHIFT;
        let mut w1 = if features.coherent {
            bits::CONTEXT_FETCH_COHERENT
        } else {
            bits::CONTEXT_FETCH_NON_COHERENT
        };
        if substream_bits > 0 {
            w1 |= bits::DEFAULT_SUBSTREAM_0;
        }
        if features.optional_stalls {
            w1 |= bits::STALLS_DISABLED;
        }
        if ats {
            w1 |= bits::ATS_FULL;
        }
        if regime == Regime::El2Host {
            w1 |= bits::WORLD_EL2;
        }
        if features.attribute_override {
            w1 |= bits::SHAREABILITY_INCOMING;
        }
        Self([w0, w1])
    }

    /// Config 0b000: every access aborts without an event; ATS requests are refused, and so are translated ones where CR0.ATSCHK is set.
    pub(super) const ABORT: Self = Self([bits::VALID, 0]);

    /// No entry: every access aborts with an event.
    pub(super) const INVALID: Self = Self([0, 0]);
}

/// The table, indexed by stream number.
#[derive(Debug)]
pub(super) struct StreamTable {
    table: Table,
    log2_entries: u8,
}

impl StreamTable {
    pub(super) fn new(table: Table, log2_entries: u8) -> Self {
        Self {
            table,
            log2_entries,
        }
    }

    pub(super) fn log2_entries(&self) -> u8 {
        self.log2_entries
    }

    pub(super) fn phys(&self) -> u64 {
        self.table.phys()
    }

    /// Writes the whole table back from the CPU's caches.
    pub(super) fn clean(&self, barriers: &impl DmaBarriers) {
        self.table.clean(barriers, 0..usize::MAX);
    }

    pub(super) fn contains(&self, stream: u32) -> bool {
        u64::from(stream) >> self.log2_entries == 0
    }

    /// Writes an entry in an order that hardware may observe at any step: an entry becomes valid by its first word, after the
    /// rest; it stops translating by its first word, before the rest (IHI 0070 3.21.3).
    pub(super) fn write(
        &self,
        stream: u32,
        entry: StreamTableEntry,
        barriers: &impl DmaBarriers,
        coherent: bool,
    ) {
        let [w0, w1] = entry.0;
        let at = stream as usize * WORDS;
        let order = if w0 & bits::CONFIG_STAGE_1 == bits::CONFIG_STAGE_1 {
            [(at + 1, w1), (at, w0)]
        } else {
            [(at, w0), (at + 1, w1)]
        };
        for (word, value) in order {
            self.table.store(word, value);
            if !coherent {
                self.table.clean(barriers, at..at + WORDS);
            }
            barriers.publish_tables();
        }
    }
}
