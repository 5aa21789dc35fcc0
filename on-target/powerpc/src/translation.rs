//! The way from real mode to radix translation: who owns the process table, and which bits begin it.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::boot_tables::kernel_root;
use crate::entry;
use crate::layout::phys_of;
use crate::{hypercall, spr};

/// PIDs that the process table has entries for.
pub(crate) const PID_BITS: u32 = 8;
const PIDS: usize = 1 << PID_BITS;

/// Entries of two words. A table of 4 KiB has size 0 (PRTS, PATS: 12 more bits).
#[repr(C, align(4096))]
struct Pairs(UnsafeCell<[[u64; 2]; PIDS]>);

// SAFETY: accessed by the atomics of `word` alone; walkers read it.
unsafe impl Sync for Pairs {}

impl Pairs {
    const fn empty() -> Self {
        Self(UnsafeCell::new([[0; 2]; PIDS]))
    }

    fn word(&self, entry: usize, word: usize) -> &AtomicU64 {
        assert!(entry < PIDS && word < 2, "beyond the table");
        // SAFETY: within the table.
        let place = unsafe { self.0.get().cast::<u64>().add(2 * entry + word) };
        // SAFETY: aligned, static, and shared as an atomic alone.
        unsafe { AtomicU64::from_ptr(place) }
    }
}

/// By PID: whose tree translates quadrant 0, and, for PID 0, quadrant 3.
static PROCESSES: Pairs = Pairs::empty();
/// By LPID; this kernel's own is 0.
static PARTITIONS: Pairs = Pairs::empty();

/// LPCR: the process table is used (UPRT); trees are radix trees (HR).
const RADIX: u64 = 1 << 22 | 1 << 20;
/// HID0 (of POWER9 and POWER10 alike, skiboot, `processor.h`): interrupts begin in little-endian mode (HILE), ATTN is allowed.
const LITTLE_ENDIAN: u64 = 1 << 59;
const ATTENTION: u64 = 1 << 60;
/// The first word of a partition-table entry: the partition uses radix trees (HR). The rest is as in a process-table entry; nothing walks
/// the tree of partition 0 itself, but QEMU asks that there be one.
const PARTITION_RADIX: u64 = 1 << 63;

/// H_SET_MODE: interrupts begin in little-endian mode.
const SET_MODE_LITTLE_ENDIAN: [u64; 4] = [1, 4, 0, 0];
/// H_REGISTER_PROCESS_TABLE: a new table, of radix trees, and the right to TLBIE (GTSE).
const NEW_RADIX_TABLE: u64 = 0b11 << 3 | 1 << 2 | 1 << 0;

/// Fills in what all CPUs use. Called once, by CPU 0, before any CPU translates.
pub(crate) fn prepare() {
    let kernel = entry::process(kernel_root());
    PROCESSES.word(0, 0).store(kernel, Ordering::Relaxed);
    let processes = phys_of(&raw const PROCESSES);
    if spr::is_hypervisor() {
        PARTITIONS
            .word(0, 0)
            .store(kernel | PARTITION_RADIX.to_be(), Ordering::Relaxed);
        PARTITIONS
            .word(0, 1)
            .store(processes.to_be(), Ordering::Relaxed);
        return;
    }
    for (call, arguments) in [
        (hypercall::SET_MODE, SET_MODE_LITTLE_ENDIAN),
        (
            hypercall::REGISTER_PROCESS_TABLE,
            [NEW_RADIX_TABLE, processes, 0, 0],
        ),
    ] {
        // SAFETY: the handlers are little-endian; the table is static and complete.
        let (status, _) = unsafe { hypercall::call(call, arguments) };
        assert!(
            status == hypercall::SUCCESS,
            "hypervisor call {call:#x}: {status}"
        );
    }
}

/// Has this CPU translate, under PID 0.
pub(crate) fn begin() {
    if spr::is_hypervisor() {
        let hid0 = spr::read::<{ spr::HID0 }>() | LITTLE_ENDIAN | ATTENTION;
        // SAFETY: the handlers are little-endian.
        unsafe { spr::write::<{ spr::HID0 }>(hid0) };
        // SAFETY: of a partition of its own, here and below.
        unsafe { spr::write::<{ spr::LPIDR }>(0) };
        // SAFETY: the table is static and complete.
        unsafe { spr::write::<{ spr::PTCR }>(phys_of(&raw const PARTITIONS)) };
        // SAFETY: nothing is translated yet.
        unsafe { spr::write::<{ spr::LPCR }>(RADIX) };
    }
    // SAFETY: PID 0 is the kernel's.
    unsafe { spr::write::<{ spr::PIDR }>(0) };
    let state = spr::machine_state() | spr::TRANSLATED;
    // SAFETY: the kernel's own tree maps it where it runs.
    unsafe {
        asm!("ptesync", "mtmsrd {}", "isync", in(reg) state, options(nostack, preserves_flags))
    };
}

/// Lets this CPU run the process `pid`, whose tree lies at `root`.
///
/// # Safety
/// `root` is a tree that stays one until another is installed; the PID is not 0 and clean on this CPU, or that of the same tree.
pub(crate) unsafe fn install(root: u64, pid: u64) {
    let entry = entry::process(root);
    PROCESSES
        .word(pid as usize, 0)
        .store(entry, Ordering::Relaxed);
    // SAFETY: the entry is visible to walkers before its PID is used.
    unsafe { asm!("ptesync", "isync", options(nostack, preserves_flags)) };
    // SAFETY: the kernel lives in quadrant 3; the caller vouches for quadrant 0.
    unsafe { spr::write::<{ spr::PIDR }>(pid) };
}

/// Where the tree of `pid` lies, as walkers are told.
pub(crate) fn root_of(pid: u64) -> Option<u64> {
    entry::root(PROCESSES.word(pid as usize, 0).load(Ordering::Relaxed))
}

/// Takes the tree of `pid` away. No TLB is told.
pub(crate) fn remove(pid: u64) {
    PROCESSES.word(pid as usize, 0).store(0, Ordering::Relaxed);
}

/// Lets this CPU run no process.
pub(crate) fn install_none() {
    // SAFETY: PID 0 maps no process.
    unsafe { spr::write::<{ spr::PIDR }>(0) };
}
