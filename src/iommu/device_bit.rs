//! Sets of devices in one word, as a [`Fence`](crate::secondary::Fence) carries them.

/// The bit that stands for a device's slot. Slots 64 apart share one, which may name a device too many and never one too few.
pub(crate) const fn device_bit(slot: usize) -> u64 {
    1 << (slot % 64)
}

#[cfg(test)]
mod tests {
    use super::device_bit;

    #[test]
    fn slots_sixty_four_apart_share_a_bit() {
        assert_eq!(device_bit(0), 0x1);
        assert_eq!(device_bit(5), 0x20);
        assert_eq!(device_bit(63), 0x8000_0000_0000_0000);
        assert_eq!(device_bit(69), 0x20);
    }
}
