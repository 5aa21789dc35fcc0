//! The device table: 32 bytes for each device, and what a device may do (AMD 48882 2.2.2).
//!
//! Sources: Linux `amd_iommu_types.h` (`DTE_*`) and `set_dte_entry`, checked against VirtualBox `DTE_T`.

use super::ids::{DeviceId, DomainId};
use crate::dma::DmaBarriers;
use crate::iommu::memory::Table;

/// Words of one entry.
const WORDS: usize = 4;
/// Bytes of one entry.
pub(super) const ENTRY_LEN: usize = 8 * WORDS;

const VALID: u64 = 1 << 0;
const TRANSLATION_VALID: u64 = 1 << 1;
const MODE_SHIFT: u32 = 9;
const GUEST_IO_VALID: u64 = 1 << 54;
const GUEST_VALID: u64 = 1 << 55;
const GCR3_LEVELS_SHIFT: u32 = 56;
const READ_WRITE: u64 = 0b11 << 61;
/// Second word: the device's TLB is served, and its translated requests are let through.
const DEVICE_TLB: u64 = 1 << 32;
/// Third word: how many levels process tables have, less four.
const GUEST_LEVELS_SHIFT: u32 = 54;

/// What the table says of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeviceTableEntry([u64; WORDS]);

impl DeviceTableEntry {
    /// Every access is refused, translated ones included: valid, with neither a table nor a right. Interrupts pass.
    ///
    /// An entry that is not valid would let every access through.
    pub(super) const REFUSE: Self = Self([VALID | TRANSLATION_VALID, 0, 0, 0]);

    /// Accesses are translated by host tables of so many levels.
    pub(super) const fn host(root: u64, levels: u8, domain: DomainId, device_tlb: bool) -> Self {
        Self([
            VALID | TRANSLATION_VALID | (levels as u64) << MODE_SHIFT | root | READ_WRITE,
            domain.0 as u64 | device_tlb_bit(device_tlb),
            0,
            0,
        ])
    }

    /// Accesses with a PASID are translated by the process tables that the GCR3 table names; those without one by the entry of PASID 0,
    /// which is absent, or not at all.
    pub(super) const fn guest(gcr3: &Gcr3Root, domain: DomainId, device_tlb: bool) -> Self {
        let root = gcr3.root;
        let untagged = if gcr3.refuse_untagged {
            GUEST_IO_VALID
        } else {
            0
        };
        Self([
            VALID
                | TRANSLATION_VALID
                | untagged
                | GUEST_VALID
                | (gcr3.levels as u64 - 1) << GCR3_LEVELS_SHIFT
                | (root >> 12 & 0x7) << 58
                | READ_WRITE,
            domain.0 as u64
                | device_tlb_bit(device_tlb)
                | (root >> 15 & 0xffff) << 16
                | (root >> 31 & 0x1f_ffff) << 43,
            (gcr3.guest_levels as u64 - 4) << GUEST_LEVELS_SHIFT,
            0,
        ])
    }

    #[cfg(test)]
    const fn words(self) -> [u64; WORDS] {
        self.0
    }
}

const fn device_tlb_bit(device_tlb: bool) -> u64 {
    if device_tlb { DEVICE_TLB } else { 0 }
}

/// Where a device's GCR3 table is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcr3Root {
    pub(super) root: u64,
    /// 1 to 3.
    pub(super) levels: u8,
    /// 4 or 5.
    pub(super) guest_levels: u8,
    pub(super) refuse_untagged: bool,
}

/// The table of all devices.
#[derive(Debug)]
pub(super) struct DeviceTable {
    table: Table,
    devices: usize,
}

impl DeviceTable {
    /// A table in which every device is refused.
    pub(super) fn new(table: Table, devices: usize) -> Self {
        let new = Self { table, devices };
        for device in 0..devices {
            new.store(device, DeviceTableEntry::REFUSE, 0..WORDS);
        }
        new
    }

    pub(super) fn phys(&self) -> u64 {
        self.table.phys()
    }

    /// 4 KiB pages.
    pub(super) const fn pages(&self) -> u64 {
        (self.devices * ENTRY_LEN / 4096) as u64
    }

    pub(super) const fn devices(&self) -> u64 {
        self.devices as u64
    }

    pub(super) fn contains(&self, device: DeviceId) -> bool {
        usize::from(device.0) < self.devices
    }

    /// Lets a refused device work by an entry: the first word, with the rights, comes last, so that the IOMMU never sees them with
    /// the rest of another entry.
    pub(super) fn admit(
        &self,
        device: DeviceId,
        entry: DeviceTableEntry,
        barriers: &impl DmaBarriers,
    ) {
        self.store(usize::from(device.0), entry, 1..WORDS);
        barriers.publish_tables();
        self.store(usize::from(device.0), entry, 0..1);
        barriers.publish_tables();
    }

    /// Refuses a device: the first word, with the rights, goes first.
    pub(super) fn refuse(&self, device: DeviceId, barriers: &impl DmaBarriers) {
        let entry = DeviceTableEntry::REFUSE;
        self.store(usize::from(device.0), entry, 0..1);
        barriers.publish_tables();
        self.store(usize::from(device.0), entry, 1..WORDS);
        barriers.publish_tables();
    }

    /// Takes a device's rights and its table away, and leaves the rest: its own TLB is still served. Nothing for a device that was refused.
    pub(super) fn silence(&self, device: DeviceId, barriers: &impl DmaBarriers) {
        self.store(usize::from(device.0), DeviceTableEntry::REFUSE, 0..1);
        barriers.publish_tables();
    }

    fn store(&self, device: usize, entry: DeviceTableEntry, words: core::ops::Range<usize>) {
        for (word, value) in entry.0.into_iter().enumerate() {
            if words.contains(&word) {
                self.table.store(device * WORDS + word, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
