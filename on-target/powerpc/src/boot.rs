//! From the entry points to Rust, and the way into `main`.

use core::arch::global_asm;
use core::cell::UnsafeCell;

use crate::{cpus, doorbell, exceptions, interrupts, spr, translation};

const STACK_SIZE: usize = 0x4_0000;

#[repr(C, align(16))]
struct Stacks(UnsafeCell<[[u8; STACK_SIZE]; cpus::COUNT]>);

// SAFETY: each CPU uses its own stack, and `boot.s` alone names them.
unsafe impl Sync for Stacks {}

/// Whether every stack has room left at its end, which is zero until it is used. There is no guard page: an overflow shows
/// as damage elsewhere.
pub(crate) fn stacks_have_room() -> bool {
    (0..cpus::COUNT).all(|cpu| {
        // SAFETY: the first bytes of a stack of this many.
        let end = unsafe { STACKS.0.get().cast::<u8>().add(cpu * STACK_SIZE) };
        // SAFETY: aligned like the stack itself; whatever is there is a number.
        unsafe { end.cast::<[u64; 8]>().read_volatile() == [0; 8] }
    })
}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK_SIZE]; cpus::COUNT]));

global_asm!(
    include_str!("address.s"),
    include_str!("boot.s"),
    include_str!("vectors.s"),
    stacks = sym STACKS,
    stack_size = const STACK_SIZE,
    enter = sym enter,
    handler = sym exceptions::handle,
);

unsafe extern "C" {
    /// What this image is for: the demonstration, or a test harness.
    fn main() -> !;
}

/// Entered in real mode.
extern "C" fn enter(cpu: u64) -> ! {
    // SAFETY: software's own.
    unsafe { spr::write::<{ spr::CPU_NUMBER }>(cpu) };
    if cpu == 0 {
        translation::prepare();
    } else {
        cpus::await_start(cpu as usize);
    }
    translation::begin();
    exceptions::postpone_decrementer();
    doorbell::enable();
    if cpu != 0 {
        cpus::serve(cpu as usize);
    }
    interrupts::on();
    // SAFETY: each image defines `main` with this signature.
    unsafe { main() }
}
