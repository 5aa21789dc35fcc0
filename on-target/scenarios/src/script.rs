//! How each case goes: which pages, touched how, changed to what, by which call, checked how.

use crate::{Case, Flush, Frame, Mapping, PAGES, Page, Rights};

/// The way an observer uses a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
}

/// What a page becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Becomes {
    Unmapped,
    ReadOnly,
    Writable,
    OtherFrame,
}

/// Where the change is made.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// In the entries of the pages; this is flushed.
    Entries(Flush),
    /// In the entry above them: their table takes the place of a large page, and this page of it is what the case is about.
    Split(Page),
}

/// One case, played.
pub(crate) struct Script {
    pub(crate) pages: &'static [Page],
    /// Looked at as well: they stay what they were.
    pub(crate) kept: &'static [Page],
    pub(crate) before: Rights,
    pub(crate) touch: Use,
    pub(crate) becomes: Becomes,
    pub(crate) check: Use,
    pub(crate) change: Change,
}

const ONE: Page = Page(1);

/// Of a large page that is split, the one looked at of those that nobody has moved.
const KEPT: Page = Page(6);

/// Pages of [`Case::Range`].
pub(crate) const RANGE_PAGES: u32 = 4;

/// Even in number and beginning at an even page, so that one ranged invalidation of any architecture covers them.
const RANGE: [Page; RANGE_PAGES as usize] = [Page(2), Page(3), Page(4), Page(5)];

/// Pages of the cases that take scattered ones.
pub(crate) const SCATTERED_PAGES: u32 = 3;

/// Not adjacent: a range that covered them would be over-long.
const SCATTERED: [Page; SCATTERED_PAGES as usize] = [Page(0), Page(3), Page(7)];

impl Script {
    pub(crate) fn of(case: Case) -> Self {
        let unmap = Self {
            pages: &[ONE],
            kept: &[],
            before: Rights::ReadWrite,
            touch: Use::Read,
            becomes: Becomes::Unmapped,
            check: Use::Read,
            change: Change::Entries(Flush::Page(ONE)),
        };
        match case {
            Case::Upgrade => Self {
                before: Rights::ReadOnly,
                becomes: Becomes::Writable,
                check: Use::Write,
                change: Change::Entries(Flush::Upgrade(ONE)),
                ..unmap
            },
            Case::Downgrade => Self {
                touch: Use::Write,
                becomes: Becomes::ReadOnly,
                check: Use::Write,
                ..unmap
            },
            Case::Unmap => unmap,
            Case::Remap => Self {
                becomes: Becomes::OtherFrame,
                ..unmap
            },
            Case::Range => Self {
                pages: &RANGE,
                change: Change::Entries(Flush::Range {
                    first: RANGE[0],
                    count: RANGE.len() as u8,
                }),
                ..unmap
            },
            Case::Space => Self {
                pages: &SCATTERED,
                change: Change::Entries(Flush::Space),
                ..unmap
            },
            Case::Gather => Self {
                pages: &SCATTERED,
                change: Change::Entries(Flush::Gather(&SCATTERED)),
                ..unmap
            },
            Case::Reclaim => Self {
                pages: &SCATTERED,
                change: Change::Entries(Flush::Reclaim(&SCATTERED)),
                ..unmap
            },
            Case::Split => Self {
                kept: &[KEPT],
                becomes: Becomes::OtherFrame,
                change: Change::Split(ONE),
                ..unmap
            },
        }
    }

    pub(crate) fn mapping_before(&self, page: Page) -> Mapping {
        Mapping {
            frame: Frame(page.0),
            rights: self.before,
        }
    }

    pub(crate) fn mapping_after(&self, page: Page) -> Option<Mapping> {
        let (frame, rights) = match self.becomes {
            Becomes::Unmapped => return None,
            Becomes::ReadOnly => (Frame(page.0), Rights::ReadOnly),
            Becomes::Writable => (Frame(page.0), Rights::ReadWrite),
            Becomes::OtherFrame => (Frame(page.0 + PAGES), Rights::ReadWrite),
        };
        Some(Mapping { frame, rights })
    }
}
