//! QEMU's `edu` device: a buffer of its own, and DMA between it and memory.

use tlb_shootdown::dma::{Mmio, VolatileMmio};

use crate::{Function, Ids, WaitUntil};

/// DMA registers (QEMU, docs/specs/edu).
const SOURCE: usize = 0x80;
const DESTINATION: usize = 0x88;
const COUNT: usize = 0x90;
const COMMAND: usize = 0x98;
/// Starts a transfer; reads as 1 while it runs.
const RUN: u64 = 1;
/// From the buffer to memory; otherwise the other way.
const TO_MEMORY: u64 = 2;
/// Where the device itself finds its buffer.
const BUFFER: u64 = 0x4_0000;

/// One transfer takes 100 ms.
const PATIENCE: u64 = 2_000_000_000;

/// Turns of a loop between two looks, some milliseconds of the machine's clock: a look leaves the code that the emulator has translated, and takes
/// as long as thousands of instructions there.
const BETWEEN_LOOKS: u32 = 20_000;

/// A transfer did not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

/// The device.
#[derive(Debug)]
pub struct Edu {
    /// Its requester id.
    pub requester: u32,
    registers: VolatileMmio,
    wait_until: WaitUntil,
}

impl Edu {
    /// How it is found.
    pub const IDS: Ids = Ids {
        vendor: 0x1234,
        device: 0x11e8,
    };

    /// Drives the device.
    pub fn new(function: Function, wait_until: WaitUntil) -> Self {
        Self {
            requester: function.requester,
            registers: function.registers,
            wait_until,
        }
    }

    /// Copies `len` bytes (at most 4096) from bus address `from` into the device's buffer. Whether memory let it, the
    /// device does not say.
    ///
    /// # Errors
    /// [`Stuck`].
    pub fn fetch(&self, from: u64, len: u64) -> Result<(), Stuck> {
        self.transfer(from, BUFFER, len, RUN)
    }

    /// Copies `len` bytes (at most 4096) from the device's buffer to bus address `to`. Whether memory let it, the device
    /// does not say.
    ///
    /// # Errors
    /// [`Stuck`].
    pub fn store(&self, to: u64, len: u64) -> Result<(), Stuck> {
        self.transfer(BUFFER, to, len, RUN | TO_MEMORY)
    }

    fn transfer(&self, from: u64, to: u64, len: u64, command: u64) -> Result<(), Stuck> {
        self.registers.write64(SOURCE, from);
        self.registers.write64(DESTINATION, to);
        self.registers.write64(COUNT, len);
        self.registers.write64(COMMAND, command);
        let mut done = || {
            (0..BETWEEN_LOOKS).for_each(|turn| _ = core::hint::black_box(turn));
            self.registers.read64(COMMAND) & RUN == 0
        };
        if (self.wait_until)(PATIENCE, &mut done) {
            Ok(())
        } else {
            Err(Stuck)
        }
    }
}
