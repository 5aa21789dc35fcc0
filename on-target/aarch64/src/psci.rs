//! Power State Coordination Interface: starting CPUs.

use core::arch::asm;

use crate::layout::phys_of;

/// CPU_ON, 64-bit calling convention (Arm DEN 0022, 5.1.4).
const CPU_ON: u64 = 0xc400_0003;

unsafe extern "C" {
    /// Where the other CPUs start, in `boot.s`.
    fn secondary_start();
}

/// Starts CPU `cpu`, whose MPIDR affinity is its number on this machine.
pub(crate) fn start(cpu: usize) {
    let entry = phys_of(secondary_start as *const ());
    let status: u64;
    // SAFETY: the firmware call changes no memory of ours; the CPU starts in `boot.s` on a stack of its own.
    unsafe {
        asm!("hvc #0", inlateout("x0") CPU_ON => status, inlateout("x1") cpu as u64 => _, inlateout("x2") entry => _,
             inlateout("x3") cpu as u64 => _, clobber_abi("C"));
    }
    assert!(
        status == 0,
        "CPU {cpu} did not start: PSCI says {}",
        status.cast_signed()
    );
}
