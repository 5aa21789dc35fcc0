//! The end of a run: by semihosting, and by panic.

use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;

use crate::boot::stacks_have_room;
use crate::console::Console;

/// SYS_EXIT (Arm semihosting, 6.4).
const SYS_EXIT: u64 = 0x18;
/// ADP_Stopped_ApplicationExit, the reason that takes an exit code.
const APPLICATION_EXIT: u64 = 0x2_0026;

/// What the test runner takes for a failed test: the status of an aborted process.
const ABORTED: u64 = 134;

/// Ends the emulator with this exit status.
pub fn exit(status: u64) -> ! {
    let block = [APPLICATION_EXIT, status];
    // SAFETY: the semihosting call reads the block and does not return.
    unsafe {
        asm!("hlt #0xf000", in("x0") SYS_EXIT, in("x1") &raw const block, options(nostack, noreturn))
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The console takes everything.
    let _ = writeln!(Console, "{info}");
    if !stacks_have_room() {
        let _ = writeln!(Console, "a stack has overflowed: look there first");
    }
    exit(ABORTED)
}
