//! Accesses that may fault: one load or store, and what became of it.

use core::arch::global_asm;

use tlb_shootdown_scenarios::{Access, Refusal};

use crate::exception_frame::Frame;

// The kernel's own accesses, which honour the rights of a process's page: quadrant 0 is translated by PIDR. A fault ends at
// `probe_refused`.
global_asm!(
    ".section .text.probe, \"ax\"",
    ".global probe_load",
    "probe_load:",
    "    ld 3, 0(3)",
    "    li 4, 0",
    "    blr",
    ".global probe_store",
    "probe_store:",
    "    std 4, 0(3)",
    "    li 4, 0",
    ".global probe_refused",
    "probe_refused:",
    "    blr",
);

/// What a probe returns in r3 and r4.
#[repr(C)]
struct Probed {
    value: u64,
    /// [`FAULTED`] and DSISR, or 0 where nothing was refused.
    fault: u64,
}

/// Above every bit of DSISR.
const FAULTED: u64 = 1 << 63;
/// Of DSISR (Power ISA 3.0B, Book III, "Data Storage Interrupt"): no entry was found; the entry does not allow it; the access was a store.
const NO_ENTRY: u64 = 1 << 30;
const NOT_ALLOWED: u64 = 1 << 27;
const STORE: u64 = 1 << 25;

unsafe extern "C" {
    fn probe_load(address: u64) -> Probed;
    fn probe_store(address: u64, value: u64) -> Probed;
    fn probe_refused();
}

/// Reads the word at `address` of the current process, in quadrant 0.
pub fn read(address: u64) -> Access {
    assert!(address >> 62 == 0, "not an address of a process");
    // SAFETY: no kernel memory is used by quadrant 0, and a fault is fixed up.
    let probed = unsafe { probe_load(address) };
    outcome(probed.value, probed.fault)
}

/// Writes the word at `address` of the current process, in quadrant 0.
pub fn write(address: u64, value: u64) -> Access {
    assert!(address >> 62 == 0, "not an address of a process");
    // SAFETY: a process maps memory under test alone, and a fault is fixed up.
    let probed = unsafe { probe_store(address, value) };
    outcome(value, probed.fault)
}

/// Reads the word at a kernel `address`.
///
/// # Safety
/// A read of `address` has no effect: it is memory, or not mapped.
pub unsafe fn read_kernel(address: u64) -> Access {
    // SAFETY: the caller's promise, and a fault is fixed up.
    let probed = unsafe { probe_load(address) };
    outcome(probed.value, probed.fault)
}

fn outcome(value: u64, fault: u64) -> Access {
    if fault == 0 {
        return Access::Done(value);
    }
    Access::Refused(match fault & !(FAULTED | STORE) {
        NO_ENTRY => Refusal::Translation,
        NOT_ALLOWED => Refusal::Permission,
        _ => Refusal::Other,
    })
}

/// Turns a fault of a probe, with this DSISR, into its result; false where it was none.
pub(crate) fn fix_up(frame: &mut Frame, dsisr: u64) -> bool {
    let probes = [
        probe_load as *const () as u64,
        probe_store as *const () as u64,
    ];
    let ours = probes.contains(&frame.pc);
    if ours {
        frame.registers[4] = FAULTED | dsisr;
        frame.pc = probe_refused as *const () as u64;
    }
    ours
}
