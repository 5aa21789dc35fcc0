//! Interrupts: a fault of a probe becomes a value, a doorbell is served, any other exception ends the run.

use crate::exception_frame::Frame;
use crate::platform::ENGINE;
use crate::{doorbell, probe, spr};

/// Vectors (Power ISA 3.0B, Book III, "Interrupt Definitions").
const DATA_STORAGE: u64 = 0x300;
const EXTERNAL: u64 = 0x500;
const DECREMENTER: u64 = 0x900;
const HYPERVISOR_DOORBELL: u64 = 0xe80;

/// The longest time that a decrementer of 32 bits can count down.
const NEVER: u64 = 0x7fff_ffff;

/// Called by `vectors.s`.
pub(crate) extern "C" fn handle(frame: &mut Frame) {
    let vector = frame.vector;
    match vector {
        DATA_STORAGE if probe::fix_up(frame, spr::read::<{ spr::DSISR }>()) => {}
        EXTERNAL | HYPERVISOR_DOORBELL => {
            doorbell::accept();
            ENGINE.on_ipi();
        }
        DECREMENTER => postpone_decrementer(),
        _ => fail(vector, frame),
    }
}

/// Nobody waits for it, but it cannot be switched off.
pub(crate) fn postpone_decrementer() {
    // SAFETY: a clock that nobody reads.
    unsafe { spr::write::<{ spr::DECREMENTER }>(NEVER) };
}

fn fail(vector: u64, frame: &Frame) -> ! {
    panic!(
        "exception {vector:#x} at {:#x}, state {:#x}, DSISR {:#x}, address {:#x}",
        frame.pc,
        frame.msr,
        spr::read::<{ spr::DSISR }>(),
        spr::read::<{ spr::DAR }>()
    );
}
