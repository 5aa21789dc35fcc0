//! The first 16550 as console: cells, and a panic's last words.

use core::fmt::{self, Write};

use crate::port;

/// COM1's first register: data.
const DATA: u16 = 0x3f8;
/// Line status.
const STATUS: u16 = DATA + 5;
/// The transmitter takes a byte.
const READY: u8 = 1 << 5;

/// The console; every value writes to the same one.
#[derive(Clone, Copy, Debug)]
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: a status register.
            while unsafe { port::read8(STATUS) } & READY == 0 {
                core::hint::spin_loop();
            }
            // SAFETY: the register takes bytes from any CPU.
            unsafe { port::write8(DATA, byte) };
        }
        Ok(())
    }
}
