//! I/O ports behind the LPC bus of a machine without firmware: the UART, and the way to the board's controller.

use core::ptr::with_exposed_provenance_mut;

use crate::layout::{BMC, KERNEL_OFFSET, UART};

/// The controller's registers (IPMI, block transfer): control, and the buffer of a message.
const CONTROL: u64 = BMC;
const BUFFER: u64 = BMC + 1;
/// Of the control register: the buffer is written from its beginning; a message is complete.
const CLEAR_WRITE: u8 = 1 << 0;
const ATTENTION: u8 = 1 << 2;

/// Chassis control, power down: the length of what follows, the network function, a sequence number, the command and its argument.
const POWER_DOWN: [u8; 5] = [4, 0, 0, 2, 0];

/// Writes a byte to the serial line.
pub(crate) fn put(byte: u8) {
    write(UART, byte);
}

/// Ends the machine well.
pub(crate) fn power_off() {
    write(CONTROL, CLEAR_WRITE);
    POWER_DOWN.into_iter().for_each(|byte| write(BUFFER, byte));
    write(CONTROL, ATTENTION);
}

fn write(port: u64, byte: u8) {
    let port = with_exposed_provenance_mut::<u8>((port + KERNEL_OFFSET) as usize);
    // SAFETY: mapped, and ignored bits in real mode; neither device reaches memory.
    unsafe { port.write_volatile(byte) };
}
