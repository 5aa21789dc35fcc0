//! Register offsets and fields. Layout alone: no behaviour.
//!
//! Sources: Arm IHI 0070 chapter 6.3 (the names are the manual's), checked against Linux `arm-smmu-v3.h` and QEMU `smmuv3-internal.h`.

use bitflags::bitflags;

/// SMMU_IDR0: stages, coherency, ATS, MSI and the like.
pub const IDR0: usize = 0x00;
/// SMMU_IDR1: sizes of queues and of stream and substream numbers.
pub const IDR1: usize = 0x04;
/// SMMU_IDR3: range invalidation.
pub const IDR3: usize = 0x0c;
/// SMMU_IDR5: output size, granules, DS.
pub const IDR5: usize = 0x14;
/// SMMU_IIDR: who made it.
pub const IIDR: usize = 0x18;
/// SMMU_CR0.
pub const CR0: usize = 0x20;
/// SMMU_CR0ACK: reads as CR0 once the change has taken effect.
pub const CR0ACK: usize = 0x24;
/// SMMU_CR1: attributes of table and queue accesses.
pub const CR1: usize = 0x28;
/// SMMU_CR2.
pub const CR2: usize = 0x2c;
/// SMMU_IRQ_CTRL.
pub const IRQ_CTRL: usize = 0x50;
/// SMMU_IRQ_CTRLACK.
pub const IRQ_CTRLACK: usize = 0x54;
/// SMMU_GERROR: toggles when an error becomes active.
pub const GERROR: usize = 0x60;
/// SMMU_GERRORN: toggled by software to acknowledge; an error is active while the two differ.
pub const GERRORN: usize = 0x64;
/// SMMU_STRTAB_BASE, 64 bits.
pub const STRTAB_BASE: usize = 0x80;
/// SMMU_STRTAB_BASE_CFG.
pub const STRTAB_BASE_CFG: usize = 0x88;
/// SMMU_CMDQ_BASE, 64 bits.
pub const CMDQ_BASE: usize = 0x90;
/// SMMU_CMDQ_PROD.
pub const CMDQ_PROD: usize = 0x98;
/// SMMU_CMDQ_CONS.
pub const CMDQ_CONS: usize = 0x9c;
/// SMMU_EVENTQ_BASE, 64 bits.
pub const EVENTQ_BASE: usize = 0xa0;
/// SMMU_EVENTQ_PROD, in register page 1.
pub const EVENTQ_PROD: usize = 0x1_00a8;
/// SMMU_EVENTQ_CONS, in register page 1.
pub const EVENTQ_CONS: usize = 0x1_00ac;

/// Bytes of register page 0, without which nothing can be driven.
pub const PAGE_0_LEN: usize = 0x1_0000;
/// Bytes up to and including the event queue's registers in page 1.
pub const EVENTS_LEN: usize = EVENTQ_CONS + 4;

/// CMDQ_CONS.ERR, bits 30:24.
pub const CONS_ERR_SHIFT: u32 = 24;
/// Width mask of CMDQ_CONS.ERR.
pub const CONS_ERR_MASK: u32 = 0x7f;
/// CMDQ_CONS.RD and CMDQ_PROD.WR with their wrap bit, bits 19:0.
pub const INDEX_MASK: u32 = 0xf_ffff;

/// Queue and linear table bases: read-allocate hint, bit 62.
pub const BASE_READ_ALLOCATE: u64 = 1 << 62;

/// CR1 for coherent memory: write-back cacheable, inner shareable, for queues (bits 5:0) and tables (bits 11:6).
pub const CR1_COHERENT: u32 = 0b11_01_01 | 0b11_01_01 << 6;
/// CR1 for memory that is not coherent: non-cacheable, outer shareable.
pub const CR1_NON_COHERENT: u32 = 0b10_00_00 | 0b10_00_00 << 6;

bitflags! {
    /// SMMU_CR0 and SMMU_CR0ACK.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Cr0: u32 {
        /// Translation is on.
        const SMMUEN = 1 << 0;
        /// The event queue is on.
        const EVENTQEN = 1 << 2;
        /// The command queue is on.
        const CMDQEN = 1 << 3;
        /// Translated ATS traffic is checked against the stream table.
        const ATSCHK = 1 << 4;
    }

    /// SMMU_CR2.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Cr2: u32 {
        /// EL2 translations are tagged with ASIDs (the host runs at EL2 with VHE).
        const E2H = 1 << 0;
        /// Out-of-range stream numbers are recorded as events.
        const RECINVSID = 1 << 1;
        /// Broadcast invalidations are ignored.
        const PTM = 1 << 2;
    }

    /// SMMU_GERROR and SMMU_GERRORN (7.5).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct GlobalErrors: u32 {
        /// The command queue has stopped at a command; CMDQ_CONS.ERR says why.
        const CMDQ = 1 << 0;
        /// A write to the event queue was aborted: events were lost.
        const EVENTQ_ABORT = 1 << 2;
        /// A write to the PRI queue was aborted.
        const PRIQ_ABORT = 1 << 3;
        /// The message of a CMD_SYNC was aborted: its waiter gets no other notice.
        const MSI_CMDQ_ABORT = 1 << 4;
        /// An event-queue message was aborted.
        const MSI_EVENTQ_ABORT = 1 << 5;
        /// A PRI-queue message was aborted.
        const MSI_PRIQ_ABORT = 1 << 6;
        /// A global-error message was aborted.
        const MSI_GERROR_ABORT = 1 << 7;
        /// Service failure mode: acknowledging does not leave it.
        const SERVICE_FAILURE = 1 << 8;
    }

    /// SMMU_IRQ_CTRL: which interrupts are raised.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Interrupts: u32 {
        /// Global errors.
        const GLOBAL_ERRORS = 1 << 0;
        /// Events.
        const EVENTS = 1 << 2;
    }
}

/// Why the command queue stopped: CMDQ_CONS.ERR (7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CommandError {
    /// CERROR_ILL, and every code that is not known: the command cannot be executed.
    Illegal,
    /// CERROR_ABT: the fetch of the command was aborted.
    FetchAbort,
    /// CERROR_ATC_INV_SYNC: a device did not answer an ATC_INV that the CMD_SYNC was to complete.
    AtcTimeout,
}

impl CommandError {
    /// The reason in a value of CMDQ_CONS.
    pub const fn from_cons(cons: u32) -> Self {
        match (cons >> CONS_ERR_SHIFT) & CONS_ERR_MASK {
            2 => Self::FetchAbort,
            3 => Self::AtcTimeout,
            _ => Self::Illegal,
        }
    }
}
