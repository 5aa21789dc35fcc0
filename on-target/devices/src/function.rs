//! What a kernel tells about a PCI function, and what a driver asks of the kernel.

use tlb_shootdown::dma::VolatileMmio;

/// How a function is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The vendor's number.
    pub vendor: u16,
    /// The vendor's number of the device.
    pub device: u16,
}

/// A function that was found and set up.
#[derive(Debug)]
pub struct Function {
    /// Requester id: bus, device and function.
    pub requester: u32,
    /// The registers behind BAR 0.
    pub registers: VolatileMmio,
}

/// Waits until something holds; false when so many nanoseconds have passed before.
pub type WaitUntil = fn(u64, &mut dyn FnMut() -> bool) -> bool;
