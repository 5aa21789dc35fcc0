//! Exceptions and interrupts: a fault of a probe becomes a value, an IPI is served, any other exception ends the run.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;

use crate::apic::{self, SHOOTDOWN, SPURIOUS};
use crate::exception_frame::Frame;
use crate::platform::ENGINE;
use crate::probe;

global_asm!(include_str!("vectors.s"), handler = sym handle, options(att_syntax));

unsafe extern "C" {
    /// 256 entries of [`ENTRY`] bytes, in `vectors.s`.
    static vectors: [u8; 0];
}

const ENTRY: usize = 16;
const VECTORS: usize = 256;

const NMI: u64 = 2;
const PAGE_FAULT: u64 = 14;
const IPI: u64 = SHOOTDOWN as u64;
const NOTHING: u64 = SPURIOUS as u64;

/// The code segment of `boot.s`.
const CODE: u64 = 0x08;
/// Present, an interrupt gate: it is entered with interrupts off.
const GATE: u64 = 0x8e00;

/// Gates of 16 bytes (Intel SDM volume 3, 7.14.1).
#[repr(C, align(16))]
struct Gates(UnsafeCell<[[u64; 2]; VECTORS]>);

// SAFETY: written by the first CPU while no other runs, and read by CPUs alone from then on.
unsafe impl Sync for Gates {}

static GATES: Gates = Gates(UnsafeCell::new([[0; 2]; VECTORS]));

/// What LIDT reads.
#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// Fills the table of gates in. Called by the first CPU, before any other runs.
pub(crate) fn init() {
    let first = (&raw const vectors).addr();
    for vector in 0..VECTORS {
        let entry = (first + vector * ENTRY) as u64;
        let low = entry & 0xffff | CODE << 16 | GATE << 32 | (entry >> 16 & 0xffff) << 48;
        // SAFETY: within the table, which nobody else uses yet.
        unsafe { (*GATES.0.get())[vector] = [low, entry >> 32] };
    }
}

/// Has this CPU take its exceptions through the gates.
pub(crate) fn load() {
    let pointer = Pointer {
        limit: (size_of::<Gates>() - 1) as u16,
        base: (&raw const GATES).addr() as u64,
    };
    // SAFETY: every vector has a gate.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(nostack, preserves_flags)) };
}

extern "C" fn handle(frame: &mut Frame) {
    let vector = frame.vector;
    match vector {
        PAGE_FAULT if probe::fix_up(frame) => {}
        IPI => {
            apic::end_of_interrupt();
            ENGINE.on_ipi();
        }
        NMI => ENGINE.on_nmi(),
        NOTHING => {}
        _ => fail(vector, frame),
    }
}

fn fail(vector: u64, frame: &Frame) -> ! {
    let address: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    panic!(
        "exception {vector} at {:#x}, error code {:#x}, address {address:#x}",
        frame.rip, frame.error
    );
}
