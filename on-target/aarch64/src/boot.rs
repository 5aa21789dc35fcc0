//! From reset to Rust: the registers of the MMU, and the way into `main`.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;

use crate::platform::ENGINE;
use crate::{console, cpus, process};

/// Attribute 0: Device-nGnRE; attribute 1: normal, write-back, allocating.
pub(crate) const MAIR: u64 = 0xff04;

/// T0SZ of TCR_EL1: 48-bit addresses, in both halves.
pub(crate) const T0SZ: u64 = 16;

/// IPS of TCR_EL1: 40-bit physical addresses.
pub(crate) const PHYSICAL_SIZE: u64 = 0b010;

/// 48-bit halves, 4 KiB granule (TG0 = 0, TG1 = 2), walks inner-shareable write-back, 16-bit
/// ASIDs, the ASID in TTBR0 (A1 = 0). No hardware update of access flag or dirty state.
const TCR: u64 = T0SZ
    | 1 << 8
    | 1 << 10
    | 0b11 << 12
    | T0SZ << 16
    | 1 << 24
    | 1 << 26
    | 0b11 << 28
    | 0b10 << 30
    | PHYSICAL_SIZE << 32
    | 1 << 36;

/// MMU and caches on, besides the bits that are RES1 or keep their meaning from before their extension (SPAN: an
/// exception does not set PAN).
const SCTLR: u64 = 0x30d0_0800 | 1 << 0 | 1 << 2 | 1 << 12;

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
    mair = const MAIR,
    tcr = const TCR,
    sctlr = const SCTLR,
    stacks = sym STACKS,
    stack_size = const STACK_SIZE,
    leave_lower_half = sym leave_lower_half,
    enter = sym enter,
);

unsafe extern "C" {
    /// What this image is for: the demonstration, or a test harness.
    fn main() -> !;
}

/// Puts the empty table into TTBR0 and forgets the boot tables there, which were global.
extern "C" fn leave_lower_half() {
    process::install_empty();
    // SAFETY: invalidation alone; the kernel runs in the upper half.
    unsafe {
        asm!(
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            options(nostack, preserves_flags)
        )
    };
}

extern "C" fn enter(cpu: u64) -> ! {
    if cpu != 0 {
        cpus::serve(cpu as usize, || ENGINE.on_ipi());
    }
    console::init();
    // SAFETY: each image defines `main` with this signature.
    unsafe { main() }
}
