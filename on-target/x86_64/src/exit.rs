//! The end of a run: by QEMU's `isa-debug-exit`, and by panic.

use core::fmt::Write;
use core::panic::PanicInfo;

use crate::boot::stacks_have_room;
use crate::console::Console;
use crate::port;

/// The device's port: `-device isa-debug-exit,iobase=0xf4,iosize=4`.
const PORT: u16 = 0xf4;

/// How a run ends. QEMU's status is twice the number, plus one; it never ends with 0 this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum End {
    /// All is well: status 33.
    Well = 0x10,
    /// A panic: status 35.
    Panicked = 0x11,
    /// A verdict was wrong: status 37.
    Wrong = 0x12,
}

/// Ends the emulator.
pub fn exit(end: End) -> ! {
    // SAFETY: the device's only register, which ends the machine.
    unsafe { port::write32(PORT, end as u32) };
    loop {
        core::hint::spin_loop();
    }
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
