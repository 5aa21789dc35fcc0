//! The ATSD registers: offsets and fields. Layout alone: no behaviour.
//!
//! Three 64-bit registers, big-endian, by which the host invalidates what a nest MMU that does not listen to the CPUs' broadcasts has cached.
//!
//! Sources: Linux `arch/powerpc/include/asm/pnv-ocxl.h` (`PNV_OCXL_ATSD_*`), checked against the NVLink driver in
//! `arch/powerpc/platforms/powernv/npu-dma.c` (`XTS_ATSD_*`, `get_atsd_launch_val`), which drives the same unit of POWER9.
//! The manuals number bits from the left: their bit `n` is `1 << (63 - n)` here.

/// LNCH: the write starts an invalidation.
pub const LNCH: usize = 0x00;
/// AVA: the address of the next invalidation by page.
pub const AVA: usize = 0x08;
/// STAT: whether an invalidation is under way.
pub const STAT: usize = 0x10;
/// Bytes of one register set.
pub const BLOCK_LEN: usize = 0x18;

/// LNCH.R, bit 0: of radix tables.
pub const LNCH_RADIX: u64 = 1 << 63;
/// LNCH.RIC, bits 1:2: 2, the TLB, the page-walk cache and what is cached of process and partition tables.
pub const LNCH_RIC_ALL: u64 = 0b10 << 61;
/// LNCH.IS, bits 11:12: 0 is the page in AVA, 1 everything of the process.
pub const LNCH_IS_PROCESS: u64 = 0b01 << 51;
/// LNCH.PRS, bit 13: of process-scoped tables.
pub const LNCH_PROCESS_SCOPED: u64 = 1 << 50;
/// LNCH.AP, bits 15:17: the page size.
pub const LNCH_AP_SHIFT: u32 = 46;
/// LNCH.PID, bits 19:38.
pub const LNCH_PID_SHIFT: u32 = 25;
/// LNCH.SINGLETON, bit 41: OpenCAPI alone, with every invalidation of a whole process.
pub const LNCH_SINGLETON: u64 = 1 << 22;

/// AVA.AVA, bits 0:51: the address without the offset in a page of 4 KiB.
pub const AVA_MASK: u64 = !0xfff;

/// STAT, bit 0: the invalidation is under way.
pub const STAT_PENDING: u64 = 1 << 63;
