//! Tables and queues in memory that the caller gave.

use crate::dma::{DmaBarriers, DmaRegion};
use core::fmt;

/// Why a region cannot hold what it was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MemoryError {
    /// Its addresses are not aligned to the size of what it is to hold. Hardware would silently read from elsewhere.
    Misaligned,
    /// It is too short.
    TooShort,
    /// It reaches beyond the physical addresses that the IOMMU can produce.
    OutOfReach,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misaligned => "the memory is not aligned to its size",
            Self::TooShort => "the memory is too short",
            Self::OutOfReach => "the memory lies beyond the IOMMU's physical addresses",
        })
    }
}

impl core::error::Error for MemoryError {}

/// A run of little-endian 64-bit words that the IOMMU reads or writes as well.
#[derive(Debug)]
pub(crate) struct Table {
    region: DmaRegion,
    words: usize,
}

impl Table {
    /// Takes the first `bytes` bytes of a region, zeroed.
    pub(crate) fn new(
        region: DmaRegion,
        bytes: usize,
        align: u64,
        output_bits: u8,
    ) -> Result<Self, MemoryError> {
        if region.len() < bytes || bytes < 8 {
            return Err(MemoryError::TooShort);
        }
        let virt = region.virt().as_ptr() as usize;
        if region.phys().raw() & (align - 1) != 0 || !virt.is_multiple_of(8) {
            return Err(MemoryError::Misaligned);
        }
        let last = u128::from(region.phys().raw()) + bytes as u128 - 1;
        if last >> output_bits != 0 {
            return Err(MemoryError::OutOfReach);
        }
        let table = Self {
            region,
            words: bytes / 8,
        };
        for word in 0..table.words {
            table.store(word, 0);
        }
        Ok(table)
    }

    pub(crate) fn phys(&self) -> u64 {
        self.region.phys().raw()
    }

    pub(crate) fn into_region(self) -> DmaRegion {
        self.region
    }

    /// The word of this index; zero beyond the end.
    pub(crate) fn load(&self, word: usize) -> u64 {
        if word >= self.words {
            return 0;
        }
        // SAFETY: the index lies within the region, which is mapped and 8-byte aligned (`DmaRegion::new`, `Table::new`).
        let place = unsafe { self.region.virt().cast::<u64>().add(word) };
        // SAFETY: as above; the device may write it at any time, hence volatile.
        u64::from_le(unsafe { place.read_volatile() })
    }

    /// Stores one word in one access, as every manual asks for live tables (IHI 0070 3.21.3). Nothing beyond the end.
    pub(crate) fn store(&self, word: usize, value: u64) {
        if word >= self.words {
            return;
        }
        // SAFETY: as in `load`.
        let place = unsafe { self.region.virt().cast::<u64>().add(word) };
        // SAFETY: as in `load`.
        unsafe { place.write_volatile(value.to_le()) }
    }

    /// Writes these words back from the CPU's caches.
    pub(crate) fn clean(&self, barriers: &impl DmaBarriers, words: core::ops::Range<usize>) {
        let start = words.start.min(self.words);
        let len = words.end.min(self.words) - start;
        let from = self.region.virt().as_ptr().wrapping_add(8 * start);
        barriers.clean_lines(from, 8 * len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::PhysAddr;
    use crate::iommu::test_memory::Cleaned;
    use core::ptr::NonNull;

    /// The first eight of nine words that were all ones.
    fn table(words: &mut [u64; 9]) -> Table {
        *words = [!0; 9];
        let virt = NonNull::from(words).cast::<u8>();
        // SAFETY: the words outlive the region, and nothing else uses them as long as it lives.
        let region = unsafe { DmaRegion::new(virt, PhysAddr::new(0x1000), 72) };
        Table::new(region, 64, 64, 48).unwrap()
    }

    #[test]
    fn a_new_table_is_zero_and_ends_where_it_was_told_to() {
        let mut words = [0; 9];
        let table = table(&mut words);
        assert_eq!([table.load(0), table.load(7)], [0, 0]);
        table.store(7, 0x0102_0304_0506_0708);
        table.store(8, 1);
        assert_eq!(table.load(7), 0x0102_0304_0506_0708);
        assert_eq!(table.load(8), 0, "beyond the end, whatever stands there");
        assert_eq!(words[7].to_le_bytes(), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(words[8], !0, "not the table's");
    }

    #[test]
    fn the_named_words_are_cleaned_and_none_beyond_the_end() {
        let mut words = [0; 9];
        let base = words.as_ptr() as usize;
        let table = table(&mut words);
        let cleaned = Cleaned::default();
        table.clean(&cleaned, 2..5);
        table.clean(&cleaned, 6..9);
        assert_eq!(cleaned.take(base), [(16, 24), (48, 16)]);
    }
}
