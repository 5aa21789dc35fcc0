//! The end of a run: by the board's controller or RTAS, and by panic.

use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;

use crate::boot::stacks_have_room;
use crate::console::Console;
use crate::{ports, rtas, spr};

/// How a run ends. The serial line says it as well, because QEMU's status 1 may mean that it did not even start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is well: status 0.
    Well,
    /// A panic: status 1.
    Panicked,
    /// A verdict was wrong: status 1.
    Wrong,
}

/// Ends the emulator.
pub fn exit(end: End) -> ! {
    // The console takes everything.
    let _ = writeln!(Console, "end {end:?}");
    match (end, spr::is_hypervisor()) {
        (End::Well, true) => ports::power_off(),
        (End::Well, false) => rtas::power_off(),
        (End::Panicked | End::Wrong, true) => attention(),
        (End::Panicked | End::Wrong, false) => rtas::terminate(),
    }
    loop {
        core::hint::spin_loop();
    }
}

/// ATTN, which HID0 allows: what a service processor would look into, QEMU takes for a guest's panic.
fn attention() {
    // SAFETY: nothing goes on afterwards.
    unsafe { asm!(".long 0x200", options(nostack)) };
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The console takes everything.
    let _ = writeln!(Console, "{info}");
    if !stacks_have_room() {
        let _ = writeln!(Console, "a stack has overflowed: look there first");
    }
    exit(End::Panicked)
}
