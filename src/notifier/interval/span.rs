//! A run of bytes with both of its ends inside, so that the last byte of an address space is in some run.

use crate::address::FlushRange;
use crate::defects::Defect;

/// Never empty. Two neighbours have no byte in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Span {
    pub(super) fn of(range: &FlushRange) -> Self {
        let (first, last) = match range {
            FlushRange::All => (0, u64::MAX),
            FlushRange::Pages(pages) => {
                let last = if Defect::LastPageLeftOut.is_put_back() {
                    pages.last().raw().saturating_sub(1)
                } else if Defect::EndRoundedInwards.is_put_back() {
                    pages.last().raw()
                } else {
                    pages.last_byte().raw()
                };
                (pages.first().raw(), last)
            }
        };
        Self { first, last }
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{PageRange, PageSize, VirtAddr};

    #[test]
    fn ends_are_inclusive() {
        let page = |base| PageRange::page(VirtAddr::new(base), PageSize::KIB_4);
        let span = |base| Span::of(&FlushRange::Pages(page(base)));
        assert_eq!(
            span(0x1000),
            Span {
                first: 0x1000,
                last: 0x1fff
            }
        );
        assert!(!span(0x1000).overlaps(span(0x2000)));
        assert!(!span(0x2000).overlaps(span(0x1000)));
        assert!(span(0x1000).overlaps(span(0x1000)));
        let all = Span::of(&FlushRange::All);
        assert!(all.overlaps(span(0)) && span(0).overlaps(all));
        let top = span(u64::MAX);
        assert_eq!(top.last, u64::MAX);
        assert!(all.overlaps(top) && top.overlaps(all) && !top.overlaps(span(0)));
    }
}
