//! Accesses that may fault: one load or store, and what became of it.

use core::arch::global_asm;

use tlb_shootdown_scenarios::{Access, Refusal};

use crate::exception_frame::Frame;

// The kernel's own accesses: CR0.WP makes them honour read-only pages. A fault ends at `probe_refused`.
global_asm!(
    ".section .text.probe, \"ax\"",
    ".global probe_load",
    "probe_load:",
    "    mov rax, [rdi]",
    "    xor edx, edx",
    "    ret",
    ".global probe_store",
    "probe_store:",
    "    mov [rdi], rsi",
    "    xor edx, edx",
    ".global probe_refused",
    "probe_refused:",
    "    ret",
);

/// What a probe returns in rax and rdx.
#[repr(C)]
struct Probed {
    value: u64,
    /// [`FAULTED`] and the error code, or 0 where nothing was refused.
    fault: u64,
}

/// Above every bit of an error code, which may be 0.
const FAULTED: u64 = 1 << 63;

unsafe extern "C" {
    fn probe_load(address: u64) -> Probed;
    fn probe_store(address: u64, value: u64) -> Probed;
    fn probe_refused();
}

/// Reads the word at `address` of the current process, which lies in the lower half.
pub fn read(address: u64) -> Access {
    assert!(address >> 47 == 0, "not an address of a process");
    // SAFETY: the lower half holds no kernel memory, and a fault is fixed up.
    let probed = unsafe { probe_load(address) };
    outcome(probed.value, probed.fault)
}

/// Writes the word at `address` of the current process, which lies in the lower half.
pub fn write(address: u64, value: u64) -> Access {
    assert!(address >> 47 == 0, "not an address of a process");
    // SAFETY: the lower half holds memory under test alone, and a fault is fixed up.
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

/// Error code of a page fault (Intel SDM volume 3, 5.7): P in bit 0, a reserved bit in bit 3.
fn outcome(value: u64, fault: u64) -> Access {
    if fault == 0 {
        return Access::Done(value);
    }
    Access::Refused(match fault & 0b1001 {
        0 => Refusal::Translation,
        1 => Refusal::Permission,
        _ => Refusal::Other,
    })
}

/// Turns a page fault of a probe into its result; false where it was none.
pub(crate) fn fix_up(frame: &mut Frame) -> bool {
    let probes = [
        probe_load as *const () as u64,
        probe_store as *const () as u64,
    ];
    let ours = probes.contains(&frame.rip);
    if ours {
        frame.rdx = FAULTED | frame.error;
        frame.rip = probe_refused as *const () as u64;
    }
    ours
}
