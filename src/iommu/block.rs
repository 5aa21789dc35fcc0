//! The naturally aligned power-of-two blocks by which TLBs are invalidated, coded by each manual in its own way.

/// log2 of the size of the smallest block that holds both addresses, and is no smaller than `1 << least` bytes.
pub(crate) const fn log2_of_block(first: u64, last: u64, least: u32) -> u32 {
    least + (u64::BITS - ((first ^ last) >> least).leading_zeros())
}

/// Where a range begins its second block, unless one block is at most twice as large as the range.
///
/// Two always suffice: the smallest block that holds a range is cut in the middle by it, each part touches the cut, and so needs less
/// than twice its own size (promise 11).
pub(crate) const fn cut(first: u64, last: u64, least: u32) -> Option<u64> {
    let log2 = log2_of_block(first, last, least);
    let asked = (last >> least) - (first >> least) + 1;
    if 1 << (log2 - least) <= 2 * asked {
        return None;
    }
    Some(last >> (log2 - 1) << (log2 - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_11_a_range_is_cut_where_one_block_would_be_too_large() {
        assert_eq!(log2_of_block(0x1000, 0x1fff, 12), 12);
        assert_eq!(log2_of_block(0x1000, 0x1fff, 16), 16);
        assert_eq!(log2_of_block(0, u64::MAX, 12), 64);
        assert_eq!(cut(0x1000, 0x1fff, 12), None);
        // Three pages in a block of four, and two in one of four.
        assert_eq!(cut(0x1000, 0x3fff, 12), None);
        assert_eq!(cut(0x1000, 0x2fff, 12), None);
        // Four pages in the middle of a block of eight.
        assert_eq!(cut(0x10_3000, 0x10_6fff, 12), None);
        // Two pages in a block of eight; in units of four they are all of it.
        assert_eq!(cut(0x3000, 0x4fff, 12), Some(0x4000));
        assert_eq!(cut(0x3000, 0x4fff, 14), None);
        assert_eq!(
            cut(0x7fff_ffff_ffff_f000, 0x8000_0000_0000_0fff, 12),
            Some(1 << 63)
        );
    }
}
