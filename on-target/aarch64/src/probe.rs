//! Accesses that may fault: one unprivileged load or store, and what became of it.

use core::arch::global_asm;

use tlb_shootdown_scenarios::{Access, Refusal};

use crate::exception_frame::Frame;

// Unprivileged (LDTR, STTR), so that the rights tested are a process's. The fix-up relies on the access being the first
// instruction and on one more instruction before the return.
global_asm!(
    ".section .text.probe, \"ax\"",
    ".global probe_load",
    "probe_load:",
    "    ldtr x0, [x0]",
    "    mov  x1, #0",
    "    ret",
    ".global probe_store",
    "probe_store:",
    "    sttr x1, [x0]",
    "    mov  x1, #0",
    "    ret",
    ".global probe_kernel_load",
    "probe_kernel_load:",
    "    ldr  x0, [x0]",
    "    mov  x1, #0",
    "    ret",
);

/// What a probe returns in x0 and x1.
#[repr(C)]
struct Probed {
    value: u64,
    /// ESR_EL1, or 0 where nothing was refused.
    syndrome: u64,
}

unsafe extern "C" {
    fn probe_load(address: u64) -> Probed;
    fn probe_store(address: u64, value: u64) -> Probed;
    fn probe_kernel_load(address: u64) -> Probed;
}

/// Reads the word at `address` of the current process, which lies in the lower half.
pub fn read(address: u64) -> Access {
    assert!(address >> 48 == 0, "not an address of a process");
    // SAFETY: the lower half holds no kernel memory, and a fault is fixed up.
    let probed = unsafe { probe_load(address) };
    outcome(probed.value, probed.syndrome)
}

/// Writes the word at `address` of the current process, which lies in the lower half.
pub fn write(address: u64, value: u64) -> Access {
    assert!(address >> 48 == 0, "not an address of a process");
    // SAFETY: the lower half holds memory under test alone, and a fault is fixed up.
    let probed = unsafe { probe_store(address, value) };
    outcome(value, probed.syndrome)
}

/// Reads the word at a kernel `address`.
///
/// # Safety
/// A read of `address` has no effect: it is memory, or not mapped.
pub unsafe fn read_kernel(address: u64) -> Access {
    // SAFETY: the caller's promise, and a fault is fixed up.
    let probed = unsafe { probe_kernel_load(address) };
    outcome(probed.value, probed.syndrome)
}

/// DFSC, bits 5:0 of the syndrome (Arm ARM, ESR_EL1): 0b0001LL translation, 0b0011LL permission.
fn outcome(value: u64, syndrome: u64) -> Access {
    if syndrome == 0 {
        return Access::Done(value);
    }
    Access::Refused(match syndrome & 0x3f {
        0x04..=0x07 => Refusal::Translation,
        0x0c..=0x0f => Refusal::Permission,
        _ => Refusal::Other,
    })
}

/// Turns a fault of a probe into its result; false where it was none.
pub(crate) fn fix_up(frame: &mut Frame, syndrome: u64) -> bool {
    let probes = [
        probe_load as *const () as u64,
        probe_store as *const () as u64,
        probe_kernel_load as *const () as u64,
    ];
    let ours = probes.contains(&frame.elr);
    if ours {
        frame.registers[1] = syndrome;
        frame.elr += 8;
    }
    ours
}
