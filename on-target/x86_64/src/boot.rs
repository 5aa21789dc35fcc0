//! From reset to Rust: the registers of the MMU, the descriptors, and the way into `main`.

use core::arch::global_asm;
use core::cell::UnsafeCell;

use crate::layout::IMAGE_OFFSET;
use crate::{apic, clock, cpus, exceptions, interrupts, process};

/// PE, MP, ET, NE, WP (the kernel's probes honour read-only pages), PG.
const CR0: u32 = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 31;
/// PAE and PGE.
const CR4: u32 = 1 << 5 | 1 << 7;
/// LME and NXE of IA32_EFER.
const EFER: u32 = 1 << 8 | 1 << 11;

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
    include_str!("boot.s"),
    cr0 = const CR0,
    cr4 = const CR4,
    efer = const EFER,
    offset = const IMAGE_OFFSET,
    stacks = sym STACKS,
    stack_size = const STACK_SIZE,
    leave_lower_half = sym leave_lower_half,
    enter = sym enter,
    options(att_syntax),
);

unsafe extern "C" {
    /// What this image is for: the demonstration, or a test harness.
    fn main() -> !;
}

extern "C" fn leave_lower_half() {
    process::install_empty(0);
}

extern "C" fn enter(cpu: u64) -> ! {
    if cpu == 0 {
        exceptions::init();
    }
    exceptions::load();
    apic::enable();
    if cpu != 0 {
        cpus::serve(cpu as usize);
    }
    clock::init();
    interrupts::on();
    // SAFETY: each image defines `main` with this signature.
    unsafe { main() }
}
