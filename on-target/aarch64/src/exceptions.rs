//! Exceptions: a fault of a probe becomes a value, any other exception ends the run.

use core::arch::{asm, global_asm};

use crate::exception_frame::Frame;
use crate::probe;

global_asm!(include_str!("vectors.s"), handler = sym handle);

/// Synchronous, from EL1 on SP_EL1.
const SYNCHRONOUS: u64 = 4;
/// ESR_EL1.EC of a data abort taken without a change of exception level.
const DATA_ABORT: u64 = 0x25;

extern "C" fn handle(frame: &mut Frame, kind: u64) {
    let syndrome: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, esr_el1", out(reg) syndrome, options(nomem, nostack, preserves_flags)) };
    if kind == SYNCHRONOUS && syndrome >> 26 == DATA_ABORT && probe::fix_up(frame, syndrome) {
        return;
    }
    let address: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, far_el1", out(reg) address, options(nomem, nostack, preserves_flags)) };
    panic!(
        "exception {kind} at {:#x}, syndrome {syndrome:#x}, address {address:#x}",
        frame.elr
    );
}
