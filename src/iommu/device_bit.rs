//! Sets of devices in one word, as a [`Fence`](crate::secondary::Fence) carries them.

/// The bit that stands for a device's slot. Slots 64 apart share one, which may name a device too many and never one too few.
pub(crate) const fn device_bit(slot: usize) -> u64 {
    1 << (slot % 64)
}
