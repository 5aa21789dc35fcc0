//! From the entry points to Rust, and the way into `main`.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::fmt::Write;

use crate::console::Console;

const STACK_SIZE: usize = 0x4_0000;

#[repr(C, align(16))]
struct Stacks(UnsafeCell<[[u8; STACK_SIZE]; 4]>);

// SAFETY: each CPU uses its own stack, and `boot.s` alone names them.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK_SIZE]; 4]));

global_asm!(
    include_str!("boot.s"),
    stacks = sym STACKS,
    stack_size = const STACK_SIZE,
    enter = sym enter,
);

extern "C" fn enter(cpu: u64) -> ! {
    if cpu == 0 {
    let _ = writeln!(Console, "hello from {cpu}");
    }
    loop { core::hint::spin_loop(); }
}
