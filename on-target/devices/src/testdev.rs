//! QEMU's `iommu-testdev`, from version 11 on: it writes one word through the IOMMU, at once, and says how that went.

use tlb_shootdown::dma::{Mmio, VolatileMmio};

use crate::{Function, Ids};

/// Registers (QEMU, docs/specs/iommu-testdev).
const TRIGGER: usize = 0x00;
const BUS_ADDRESS_LOW: usize = 0x04;
const BUS_ADDRESS_HIGH: usize = 0x08;
const LENGTH: usize = 0x0c;
const RESULT: usize = 0x10;
const DOORBELL: usize = 0x14;
const MEMORY_ADDRESS_LOW: usize = 0x1c;
const MEMORY_ADDRESS_HIGH: usize = 0x20;

const OK: u32 = 0;
const WRITE_FAILED: u32 = 0xdead_0002;
const ELSEWHERE: u32 = 0xdead_0004;

/// Bytes written by one trigger.
const WORD: u32 = 4;

/// Where a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Into the frame that was named.
    There,
    /// Somewhere else.
    Elsewhere,
    /// Nowhere: the IOMMU refused it.
    Refused,
}

/// The device.
#[derive(Debug)]
pub struct TestDevice {
    /// Its requester id.
    pub requester: u32,
    registers: VolatileMmio,
}

impl TestDevice {
    /// How it is found.
    pub const IDS: Ids = Ids {
        vendor: 0x1b36,
        device: 0x0005,
    };

    /// Drives the device.
    pub fn new(function: Function) -> Self {
        Self {
            requester: function.requester,
            registers: function.registers,
        }
    }

    /// Writes a word to bus address `to`, and looks whether it arrived at physical address `expected`.
    ///
    /// # Panics
    /// Where the device reports what its description does not know.
    pub fn write(&self, to: u64, expected: u64) -> Written {
        self.registers.write32(BUS_ADDRESS_LOW, to as u32);
        self.registers.write32(BUS_ADDRESS_HIGH, (to >> 32) as u32);
        self.registers.write32(MEMORY_ADDRESS_LOW, expected as u32);
        self.registers
            .write32(MEMORY_ADDRESS_HIGH, (expected >> 32) as u32);
        self.registers.write32(LENGTH, WORD);
        self.registers.write32(DOORBELL, 1);
        self.registers.read32(TRIGGER);
        match self.registers.read32(RESULT) {
            OK => Written::There,
            ELSEWHERE => Written::Elsewhere,
            WRITE_FAILED => Written::Refused,
            other => panic!("iommu-testdev reports {other:#x}"),
        }
    }
}
