//! What a caller asks to be flushed.

use crate::address::{FlushRange, PageRange, PageSize, VirtAddr};

/// Which entries of a page walk have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Depth {
    /// Leaf entries alone: walk caches of the levels above stay valid and may be kept.
    Leaf,
    /// Tables were freed, moved, unshared or replaced by a block as well: walk caches are dropped too.
    Tables,
}

/// A description of changed translations: where, how deep, and how large the entries are where that is known.
///
/// The defaults are the safe ones. A tighter description costs less and is a promise by the caller:
/// [`Flush::leaf_only`] that no table was freed, moved or shared differently, and [`Flush::leaf_size`] that every
/// changed leaf entry has that size. A broken promise is a missed invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flush {
    range: FlushRange,
    depth: Depth,
    leaf_size: Option<PageSize>,
}

impl Flush {
    /// Everything in the address space.
    pub const fn all() -> Self {
        Self {
            range: FlushRange::All,
            depth: Depth::Tables,
            leaf_size: None,
        }
    }

    /// These pages; tables may have changed, sizes are unknown.
    pub const fn pages(pages: PageRange) -> Self {
        Self {
            range: FlushRange::Pages(pages),
            depth: Depth::Tables,
            leaf_size: None,
        }
    }

    /// The leaf entry of one page of exactly this size.
    pub const fn page(addr: VirtAddr, size: PageSize) -> Self {
        Self::pages(PageRange::page(addr, size))
            .leaf_only()
            .leaf_size(size)
    }

    /// Promises that only leaf entries changed. Without effect on [`Flush::all`].
    pub const fn leaf_only(mut self) -> Self {
        if matches!(self.range, FlushRange::Pages(_)) {
            self.depth = Depth::Leaf;
        }
        self
    }

    /// Promises that every changed leaf entry has this size (for a member of a contiguous group, either the entry's
    /// own size or the group's).
    pub const fn leaf_size(mut self, size: PageSize) -> Self {
        self.leaf_size = Some(size);
        self
    }

    /// What is covered.
    pub const fn range(&self) -> &FlushRange {
        &self.range
    }

    /// How deep.
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    /// The size of every changed leaf entry, where the caller knows it.
    ///
    /// `None` once tables are concerned: a level hint would then name only the leaves, and an entry of another level
    /// might survive.
    pub const fn known_leaf_size(&self) -> Option<PageSize> {
        match self.depth {
            Depth::Leaf => self.leaf_size,
            Depth::Tables => None,
        }
    }

    /// The size that the caller has promised of every changed leaf entry, whether tables are concerned or not.
    ///
    /// Not for level hints: see [`known_leaf_size`](Self::known_leaf_size).
    pub const fn promised_leaf_size(&self) -> Option<PageSize> {
        self.leaf_size
    }

    /// Whether it is of one page.
    pub(crate) const fn is_one_page(&self) -> bool {
        matches!(&self.range, FlushRange::Pages(pages) if pages.count() == 1)
    }

    /// The page behind it, as who has used up a range finds it; everything has none.
    pub(crate) fn behind(&self) -> Self {
        match &self.range {
            FlushRange::All => *self,
            FlushRange::Pages(pages) => {
                let end = pages.last_byte().raw().wrapping_add(1);
                Self::page(VirtAddr::new(end), pages.stride())
            }
        }
    }

    /// A description of exactly both, where there is one: everything, or pages of one kind that overlap or lie side by side.
    pub(crate) fn join(&self, other: &Self) -> Option<Self> {
        let joins = match (&self.range, &other.range) {
            (FlushRange::Pages(a), FlushRange::Pages(b)) => {
                let is_alike = self.depth == other.depth && self.leaf_size == other.leaf_size;
                is_alike && a.stride() == b.stride() && a.touches(b)
            }
            _ => true,
        };
        joins.then(|| self.merge(other))
    }

    /// A description that covers both: page < range < whole space, and the weaker of the promises.
    pub fn merge(&self, other: &Self) -> Self {
        let range = self.range.hull(&other.range);
        let depth = self.depth.max(other.depth);
        Self {
            range,
            depth: if matches!(range, FlushRange::All) {
                Depth::Tables
            } else {
                depth
            },
            leaf_size: if self.leaf_size == other.leaf_size {
                self.leaf_size
            } else {
                None
            },
        }
    }
}
