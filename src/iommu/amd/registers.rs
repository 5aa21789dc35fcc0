//! Register offsets and fields. Layout alone: no behaviour.
//!
//! Sources: AMD 48882 chapter 3.4 as Linux `amd_iommu_types.h` renders it (the names are the manual's), checked against VirtualBox
//! `iommu-amd.h` and FreeBSD `amd_reg.h`.

use bitflags::bitflags;

/// Device table base: address in bits 51:12, 4 KiB pages less one in bits 8:0.
pub const DEVICE_TABLE_BASE: usize = 0x00;
/// Command buffer base: address in bits 51:12, log2 of the entries in bits 59:56. Writing it sets head and tail to 0.
pub const COMMAND_BASE: usize = 0x08;
/// Event log base, as [`COMMAND_BASE`].
pub const EVENT_BASE: usize = 0x10;
/// Control.
pub const CONTROL: usize = 0x18;
/// Exclusion base; with SNP enabled, the first page that a COMPLETION_WAIT may store to.
pub const EXCLUSION_BASE: usize = 0x20;
/// Exclusion limit; with SNP enabled, the last page that a COMPLETION_WAIT may store to.
pub const EXCLUSION_LIMIT: usize = 0x28;
/// Extended features.
pub const EXTENDED_FEATURES: usize = 0x30;
/// Extended features 2.
pub const EXTENDED_FEATURES_2: usize = 0x1a0;
/// Command buffer head, a byte offset in bits 18:4.
pub const COMMAND_HEAD: usize = 0x2000;
/// Command buffer tail, a byte offset in bits 18:4: the doorbell.
pub const COMMAND_TAIL: usize = 0x2008;
/// Event log head, a byte offset in bits 18:4.
pub const EVENT_HEAD: usize = 0x2010;
/// Event log tail, a byte offset in bits 18:4.
pub const EVENT_TAIL: usize = 0x2018;
/// Status.
pub const STATUS: usize = 0x2020;

/// Bytes up to and including the status register, without which nothing can be driven.
pub const REGISTERS_LEN: usize = STATUS + 8;

/// A head or tail: bits 18:4.
pub const POINTER_MASK: u64 = 0x7_fff0;
/// The bytes of one command or event, as a power of two.
pub const ENTRY_SHIFT: u32 = 4;
/// log2 of the entries of the command buffer or the event log, in their base registers.
pub const LENGTH_SHIFT: u32 = 56;
/// The least that the length field can say: 256 entries. Smaller values are reserved.
pub const LEAST_LENGTH: u8 = 8;
/// The most that the length field can say: 32768 entries.
pub const MOST_LENGTH: u8 = 15;
/// The largest size of the device table: all 65536 devices.
pub const MOST_DEVICE_PAGES: u64 = 512;

bitflags! {
    /// Control.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Control: u64 {
        /// IommuEn.
        const IOMMU = 1 << 0;
        /// HtTunEn: as firmware describes the platform.
        const HT_TUNNEL = 1 << 1;
        /// EventLogEn.
        const EVENT_LOG = 1 << 2;
        /// EventIntEn.
        const EVENT_INTERRUPT = 1 << 3;
        /// ComWaitIntEn.
        const WAIT_INTERRUPT = 1 << 4;
        /// PassPW: as firmware describes the platform.
        const PASS_POSTED = 1 << 8;
        /// ResPassPW: as firmware describes the platform.
        const RESPONSE_PASS_POSTED = 1 << 9;
        /// Coherent: table and queue accesses snoop the CPUs' caches.
        const COHERENT = 1 << 10;
        /// Isoc: as firmware describes the platform.
        const ISOCHRONOUS = 1 << 11;
        /// CmdBufEn.
        const COMMAND_BUFFER = 1 << 12;
        /// GTEn: translation through GCR3 tables.
        const GUEST_TRANSLATION = 1 << 16;
    }
}

impl Control {
    /// What firmware has found out about the platform, and stays as it is.
    pub const PLATFORM: Self = Self::HT_TUNNEL
        .union(Self::PASS_POSTED)
        .union(Self::RESPONSE_PASS_POSTED)
        .union(Self::ISOCHRONOUS);
}

/// InvTimeOut, bits 7:5 of [`CONTROL`].
pub const DEVICE_TIMEOUT_SHIFT: u32 = 5;

bitflags! {
    /// Status. The Run bits are read-only, the others are cleared by writing 1.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Status: u64 {
        /// EventOverflow: events were lost, and none is recorded until the log is started anew.
        const EVENT_OVERFLOW = 1 << 0;
        /// EventLogInt.
        const EVENT_INTERRUPT = 1 << 1;
        /// ComWaitInt.
        const WAIT_INTERRUPT = 1 << 2;
        /// EventLogRun.
        const EVENT_RUN = 1 << 3;
        /// CmdBufRun: clear after an error, with the head at the command that failed.
        const COMMAND_RUN = 1 << 4;
    }
}
