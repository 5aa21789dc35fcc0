//! The PL011 as console: cells, the log, and a panic's last words.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use log::{LevelFilter, Log, Metadata, Record};

use crate::layout::{UART, mapped};

/// UARTDR, 0x000; QEMU's takes a byte at any time.
const DATA: usize = 0;

/// The console; every value writes to the same one.
#[derive(Clone, Copy, Debug)]
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let register: NonNull<u32> = mapped(UART + DATA as u64).cast();
        for byte in text.bytes() {
            // SAFETY: a mapped device register that takes bytes from any CPU.
            unsafe { register.write_volatile(u32::from(byte)) };
        }
        Ok(())
    }
}

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // The console takes everything.
        let _ = writeln!(Self, "{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

/// Sends the log to the console. The test harness reports through it.
pub(crate) fn init() {
    // Fails where a logger is set already, which is this one.
    let _ = log::set_logger(&Console);
    log::set_max_level(LevelFilter::Info);
}
