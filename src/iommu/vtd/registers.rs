//! Register offsets and fields. Layout alone: no behaviour.
//!
//! Sources: Intel VT-d architecture specification chapter 11.4 (the names are the manual's), as carried by Linux
//! `drivers/iommu/intel/iommu.h`, checked against QEMU `intel_iommu_internal.h`.

use bitflags::bitflags;

/// CAP_REG, 64 bits: capabilities.
pub const CAP: usize = 0x08;
/// ECAP_REG, 64 bits: extended capabilities.
pub const ECAP: usize = 0x10;
/// GCMD_REG: write-only commands. Not a record of what is on: GSTS is.
pub const GCMD: usize = 0x18;
/// GSTS_REG: what the commands have brought about.
pub const GSTS: usize = 0x1c;
/// RTADDR_REG, 64 bits: the root table.
pub const RTADDR: usize = 0x20;
/// FSTS_REG: what has gone wrong; written with ones to clear.
pub const FSTS: usize = 0x34;
/// IQH_REG, 64 bits: byte offset of the next descriptor to fetch.
pub const IQH: usize = 0x80;
/// IQT_REG, 64 bits: byte offset after the last descriptor.
pub const IQT: usize = 0x88;
/// IQA_REG, 64 bits: the queue's base, width and size.
pub const IQA: usize = 0x90;
/// IQERCD_REG, 64 bits: why the queue stopped, and which device did not answer.
pub const IQER: usize = 0xb0;
/// PRS_REG: state of the page-request queue.
pub const PRS: usize = 0xdc;

/// Bytes up to and including the page-request registers.
pub const BLOCK_LEN: usize = 0xe0;

/// RTADDR.TTM, bits 11:10: scalable mode. 0 is legacy mode.
pub const RTADDR_SCALABLE: u64 = 0b01 << 10;
/// IQA.DW, bit 11: descriptors of 256 bits; of 128 without.
pub const IQA_WIDE: u64 = 1 << 11;
/// IQA.QS, bits 2:0: the queue has `1 << QS` pages of 4 KiB.
pub const IQA_MOST_PAGES_LOG2: u8 = 7;
/// log2 of the bytes of one 256-bit descriptor.
pub const WIDE_SHIFT: u32 = 5;
/// log2 of the bytes of one 128-bit descriptor.
pub const NARROW_SHIFT: u32 = 4;
/// IQH.QH and IQT.QT, bits 18:4.
pub const POSITION_MASK: u64 = 0x7_fff0;
/// IQERCD.IQEI, bits 3:0.
pub const IQER_REASON_MASK: u64 = 0xf;
/// PRS.PRO: a page request was lost.
pub const PRS_OVERFLOW: u32 = 1 << 1;

bitflags! {
    /// GCMD_REG and GSTS_REG.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Global: u32 {
        /// CFI: compatibility-format interrupts pass. A state.
        const COMPATIBILITY_INTERRUPTS = 1 << 23;
        /// SIRTP and IRTPS: take over the interrupt-remapping table. A command.
        const SET_INTERRUPT_TABLE = 1 << 24;
        /// IRE and IRES: interrupts are remapped. A state.
        const INTERRUPT_REMAPPING = 1 << 25;
        /// QIE and QIES: invalidations are queued. A state.
        const QUEUED_INVALIDATION = 1 << 26;
        /// WBF and WBFS: flush the write buffer; reads as one while it is being flushed. A command.
        const WRITE_BUFFER_FLUSH = 1 << 27;
        /// SRTP and RTPS: take over the root table. A command.
        const SET_ROOT_TABLE = 1 << 30;
        /// TE and TES: devices are translated. A state.
        const TRANSLATION = 1 << 31;
    }

    /// FSTS_REG.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Faults: u32 {
        /// PFO: a fault was lost.
        const OVERFLOW = 1 << 0;
        /// PPF: a fault is recorded. Read-only.
        const PENDING = 1 << 1;
        /// IQE: the queue has stopped at a descriptor.
        const QUEUE = 1 << 4;
        /// ICE: a device sent a completion that nobody waited for.
        const COMPLETION = 1 << 5;
        /// ITE: a device did not answer; waits were aborted.
        const TIME_OUT = 1 << 6;
    }
}

impl Global {
    /// The bits that keep their value from command to command: a write of GCMD repeats them, and changes one.
    pub const STATES: Self = Self::COMPATIBILITY_INTERRUPTS
        .union(Self::INTERRUPT_REMAPPING)
        .union(Self::QUEUED_INVALIDATION)
        .union(Self::TRANSLATION);
}

/// Why the queue stopped: IQERCD.IQEI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum QueueError {
    /// The tail lies outside the queue or within a descriptor (1 and 6).
    Tail,
    /// The descriptor could not be read (2).
    Fetch,
    /// The descriptor cannot be executed; also every code that is not known, and no code at all from units without the register.
    Descriptor,
}

impl QueueError {
    /// The reason in a value of IQERCD.
    pub const fn from_iqer(iqer: u64) -> Self {
        match iqer & IQER_REASON_MASK {
            1 | 6 => Self::Tail,
            2 => Self::Fetch,
            _ => Self::Descriptor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QueueError;

    /// VT-d 11.4.9.9: the reason in bits 3:0; Linux `qi_check_fault` reads no more of it.
    #[test]
    fn reasons() {
        for (reason, error) in [
            (0, QueueError::Descriptor),
            (1, QueueError::Tail),
            (2, QueueError::Fetch),
            (3, QueueError::Descriptor),
            (4, QueueError::Descriptor),
            (5, QueueError::Descriptor),
            (6, QueueError::Tail),
            (7, QueueError::Descriptor),
        ] {
            assert_eq!(QueueError::from_iqer(reason), error);
            assert_eq!(QueueError::from_iqer(!0xf | reason), error);
        }
    }
}
