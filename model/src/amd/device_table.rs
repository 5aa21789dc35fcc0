//! Device table entries (AMD 48882, "Device Table Entry Format"), and their cache, which INVALIDATE_DEVTAB_ENTRY alone empties.

use crate::memory::Memory;
use alloc::collections::BTreeMap;

/// A device table entry, as far as memory requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Bit 0. Clear: requests pass untranslated.
    pub(super) valid: bool,
    /// Bit 1, TV. Clear: requests are refused.
    pub(super) translates: bool,
    /// Bits 11:9: levels of the host table, 0 for none.
    pub(super) mode: u8,
    /// Bits 51:12.
    pub(super) host_root: u64,
    /// Bit 61, IR, and bit 62, IW.
    pub(super) reads: bool,
    pub(super) writes: bool,
    /// Bit 54, GIOV: requests without a PASID are translated as those of PASID 0.
    pub(super) plain_is_zero: bool,
    /// Bit 55, GV: there is a GCR3 table.
    pub(super) guest: bool,
    /// Bits 57:56, GLX: levels of the GCR3 table, less 1.
    pub(super) gcr3_levels: u8,
    /// In three pieces: bits 14:12 in 60:58, bits 30:15 in 95:80, bits 51:31 in 127:107.
    pub(super) gcr3: u64,
    /// Bits 79:64.
    pub(super) domain: u16,
    /// Bit 96, I: the device may ask for translations.
    pub(super) device_tlb: bool,
    /// Bits 183:182, GuestPagingMode: levels of guest tables, less 4.
    pub(super) guest_mode: u8,
    /// A reserved bit is set: 6:2 and 63, 181:180, 206:192 and 245:240 (QEMU's `AMDVI_DTE_QUAD*_RESERVED`).
    pub(super) malformed: bool,
}

/// The entries that are cached. Invalid ones are too: every change needs its command.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    cached: BTreeMap<u32, Entry>,
}

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const BYTES: u64 = 32;

impl Entries {
    pub(super) fn forget(&mut self, device: u32) {
        self.cached.remove(&device);
    }

    pub(super) fn clear(&mut self) {
        self.cached.clear();
    }

    /// The entry of a device; nothing beyond the table or where no memory answers. The register has the base in bits 51:12
    /// and the size in bits 8:0, in 4 KiB units, less 1.
    pub(super) fn entry(&mut self, register: u64, device: u32, memory: &Memory) -> Option<Entry> {
        if let Some(entry) = self.cached.get(&device) {
            return Some(*entry);
        }
        let offset = u64::from(device) * BYTES;
        if offset >= ((register & 0x1ff) + 1) << 12 {
            return None;
        }
        let at = (register & ADDRESS) + offset;
        let mut words = [0; 4];
        for (word, at) in words.iter_mut().zip((at..).step_by(8)) {
            *word = memory.device_read(at)?;
        }
        let entry = decode(words);
        self.cached.insert(device, entry);
        Some(entry)
    }
}

fn decode([q0, q1, q2, q3]: [u64; 4]) -> Entry {
    let reserved = [
        (q0, 0x1f << 2 | 1 << 63),
        (q2, 0b11 << 52),
        (q3, 0x7fff | 0x3f << 48),
    ];
    Entry {
        valid: q0 & 1 != 0,
        translates: q0 & 1 << 1 != 0,
        mode: (q0 >> 9 & 0b111) as u8,
        host_root: q0 & ADDRESS,
        reads: q0 & 1 << 61 != 0,
        writes: q0 & 1 << 62 != 0,
        plain_is_zero: q0 & 1 << 54 != 0,
        guest: q0 & 1 << 55 != 0,
        gcr3_levels: (q0 >> 56 & 0b11) as u8 + 1,
        gcr3: (q0 >> 58 & 0b111) << 12 | (q1 >> 16 & 0xffff) << 15 | (q1 >> 43) << 31,
        domain: q1 as u16,
        device_tlb: q1 & 1 << 32 != 0,
        guest_mode: (q2 >> 54 & 0b11) as u8,
        malformed: reserved.iter().any(|(word, bits)| word & bits != 0),
    }
}
