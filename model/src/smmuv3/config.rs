//! Stream table entries and context descriptors (chapter 5), and the caches of both, which CFGI commands alone empty (4.3).

use super::command::Command;
use crate::memory::Memory;
use alloc::collections::BTreeMap;

/// A stream table entry (5.2), as far as stage 1 goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ste {
    pub(super) valid: bool,
    /// STE.Config: 0b000 abort, 0b100 bypass, 0b101 stage 1.
    pub(super) config: u8,
    pub(super) context: u64,
    /// STE.S1Fmt: 0 linear, 1 two levels with 4 KiB leaves, 2 with 64 KiB leaves.
    pub(super) format: u8,
    pub(super) cd_max: u8,
    /// STE.S1DSS: 0 terminate, 1 bypass, 2 substream 0.
    pub(super) default_substream: u8,
    pub(super) ats: bool,
    /// STE.STRW = 0b10: EL2 (with E2H).
    pub(super) el2: bool,
}

/// A context descriptor (5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cd {
    pub(super) valid: bool,
    pub(super) t0sz: u8,
    pub(super) granule: u8,
    pub(super) walks_disabled: bool,
    /// CD.R: faults are recorded.
    pub(super) records: bool,
    pub(super) private_asid: bool,
    pub(super) asid: u32,
    pub(super) root: u64,
    pub(super) aarch64: bool,
}

/// Where the stream table is (6.3.24, 6.3.25).
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTable {
    pub(super) base: u64,
    pub(super) config: u32,
}

/// What configuration is cached. Invalid structures are cached too: every change needs its CFGI (3.21.3).
#[derive(Clone, Debug, Default)]
pub(super) struct Caches {
    stes: BTreeMap<u32, Ste>,
    cds: BTreeMap<(u32, u32), Cd>,
    level1_streams: BTreeMap<u32, u64>,
    level1_contexts: BTreeMap<(u32, u32), u64>,
}

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const ADDRESS_64: u64 = 0x000f_ffff_ffff_ffc0;
const ADDRESS_16: u64 = 0x000f_ffff_ffff_fff0;

impl Caches {
    /// Applies a CFGI command.
    pub(super) fn invalidate(&mut self, command: &Command) {
        match *command {
            Command::Ste { sid, leaf } => self.forget_streams(sid, sid, !leaf),
            Command::Stes { first, last } => self.forget_streams(first, last, true),
            Command::Cd { sid, ssid, leaf } => {
                self.cds.remove(&(sid, ssid));
                if !leaf {
                    self.level1_contexts.retain(|(stream, _), _| *stream != sid);
                }
            }
            Command::Cds { sid } => self.forget_contexts(sid, sid),
            _ => {}
        }
    }

    /// An STE goes together with every CD that was reached through it (4.3.1).
    fn forget_streams(&mut self, first: u32, last: u32, level1: bool) {
        self.stes.retain(|sid, _| !(first..=last).contains(sid));
        self.forget_contexts(first, last);
        if level1 {
            self.level1_streams.clear();
        }
    }

    fn forget_contexts(&mut self, first: u32, last: u32) {
        self.cds.retain(|(sid, _), _| !(first..=last).contains(sid));
        self.level1_contexts
            .retain(|(sid, _), _| !(first..=last).contains(sid));
    }

    /// The entry of a stream; nothing beyond the table or where no memory answers.
    pub(super) fn ste(&mut self, table: StreamTable, sid: u32, memory: &Memory) -> Option<Ste> {
        let log2 = table.config & 0x3f;
        if log2 < 32 && sid >> log2 != 0 {
            return None;
        }
        if let Some(ste) = self.stes.get(&sid) {
            return Some(*ste);
        }
        let at = self.ste_address(table, sid, memory)?;
        let ste = read_ste(at, memory)?;
        self.stes.insert(sid, ste);
        Some(ste)
    }

    /// Linear, or two levels with SPLIT stream bits in a leaf (6.3.25); the linear table is aligned to its size (6.3.24).
    fn ste_address(&mut self, table: StreamTable, sid: u32, memory: &Memory) -> Option<u64> {
        let base = table.base & ADDRESS_64;
        if table.config >> 16 & 0b11 == 0 {
            let bytes = 64_u64 << (table.config & 0x3f);
            return Some((base & !(bytes - 1)) + u64::from(sid) * 64);
        }
        let split = table.config >> 6 & 0x1f;
        let first = sid >> split;
        let descriptor = match self.level1_streams.get(&first) {
            Some(&cached) => cached,
            None => memory.device_read(base + u64::from(first) * 8)?,
        };
        self.level1_streams.insert(first, descriptor);
        // L1STD: Span [4:0] is 0 for invalid, else log2 of the leaf's entries, plus 1 (5.1).
        let span = (descriptor & 0x1f) as u32;
        let index = sid & ((1 << split) - 1);
        if span == 0 || index >> (span - 1) != 0 {
            return None;
        }
        Some((descriptor & ADDRESS_64) + u64::from(index) * 64)
    }

    /// The context descriptor of a substream.
    pub(super) fn cd(&mut self, ste: &Ste, sid: u32, ssid: u32, memory: &Memory) -> Option<Cd> {
        if let Some(cd) = self.cds.get(&(sid, ssid)) {
            return Some(*cd);
        }
        let at = self.cd_address(ste, sid, ssid, memory)?;
        let cd = read_cd(at, memory)?;
        self.cds.insert((sid, ssid), cd);
        Some(cd)
    }

    fn cd_address(&mut self, ste: &Ste, sid: u32, ssid: u32, memory: &Memory) -> Option<u64> {
        // 64 descriptors fit into a leaf of 4 KiB, 1024 into one of 64 KiB (5.2, S1Fmt).
        let split = match ste.format {
            0 => return Some(ste.context + u64::from(ssid) * 64),
            1 => 6,
            _ => 10,
        };
        let first = ssid >> split;
        let descriptor = match self.level1_contexts.get(&(sid, first)) {
            Some(&cached) => cached,
            None => memory.device_read(ste.context + u64::from(first) * 8)?,
        };
        self.level1_contexts.insert((sid, first), descriptor);
        let index = ssid & ((1 << split) - 1);
        (descriptor & 1 != 0).then(|| (descriptor & ADDRESS) + u64::from(index) * 64)
    }
}

fn read_ste(at: u64, memory: &Memory) -> Option<Ste> {
    let (w0, w1) = (memory.device_read(at)?, memory.device_read(at + 8)?);
    Some(Ste {
        valid: w0 & 1 != 0,
        config: (w0 >> 1 & 0b111) as u8,
        format: (w0 >> 4 & 0b11) as u8,
        context: w0 & ADDRESS_64,
        cd_max: (w0 >> 59) as u8,
        default_substream: (w1 & 0b11) as u8,
        ats: w1 >> 28 & 0b11 == 1,
        el2: w1 >> 30 & 0b11 == 0b10,
    })
}

fn read_cd(at: u64, memory: &Memory) -> Option<Cd> {
    let (w0, w1) = (memory.device_read(at)?, memory.device_read(at + 8)?);
    Some(Cd {
        valid: w0 >> 31 & 1 != 0,
        t0sz: (w0 & 0x3f) as u8,
        granule: (w0 >> 6 & 0b11) as u8,
        walks_disabled: w0 >> 14 & 1 != 0,
        aarch64: w0 >> 41 & 1 != 0,
        records: w0 >> 45 & 1 != 0,
        private_asid: w0 >> 47 & 1 != 0,
        asid: (w0 >> 48) as u32,
        root: w1 & ADDRESS_16,
    })
}
