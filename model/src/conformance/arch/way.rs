//! The engine's entry points, each with a change that asks for it.

use crate::conformance::entry::{Entry, Frame, PAGES};
use core::fmt;
use core::iter::StepBy;
use core::ops::Range;

/// A change of test pages, and what flushes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All pages unmapped, `flush_space`. The first, as it also restores order between the others.
    Space,
    /// One page unmapped, `flush_page`.
    Page,
    /// All pages unmapped, `flush` of the range's leaf entries.
    Range,
    /// All pages unmapped, `start` of the range with its tables, then `wait`.
    Start,
    /// One page no longer writable, `flush_page`.
    Downgrade,
    /// One page becomes writable, `flush_upgrade`; where the platform repairs spurious faults, CPUs may find out by one.
    FlushUpgrade,
    /// One page becomes writable, `upgrade`, which asks for the stores.
    Upgrade,
    /// One page becomes writable; each CPU that faults calls `fix_spurious_fault`.
    SpuriousFault,
    /// One page leads to another frame, `replace`, which asks for the stores.
    Replace,
    /// All pages unmapped, a `Gather`.
    Gather,
    /// Pages that do not lie side by side unmapped, a `Reclaim`, which makes several changes of them.
    Reclaim,
    /// The last-level table taken out of the tree, `flush` of the range with its tables.
    Tables,
    /// All kernel pages unmapped, `flush_kernel_range`.
    KernelRange,
    /// All kernel pages unmapped, `flush_all`.
    Everything,
    /// The last-level table of kernel pages taken out of the tree, `flush_kernel_tables`.
    KernelTables,
    /// All pages unmapped, each by another CPU, and all of them flush at the same time. The last.
    AtOnce,
}

impl Way {
    /// Every way that one CPU goes, in the order in which the suite goes them.
    pub const ALL: [Self; 15] = [
        Self::Space,
        Self::Page,
        Self::Range,
        Self::Start,
        Self::Downgrade,
        Self::FlushUpgrade,
        Self::Upgrade,
        Self::SpuriousFault,
        Self::Replace,
        Self::Gather,
        Self::Reclaim,
        Self::Tables,
        Self::Everything,
        Self::KernelRange,
        Self::KernelTables,
    ];

    /// What the pages say before the change, and after it.
    pub(super) const fn entries(self) -> (Entry, Entry) {
        let (first, second) = (Frame::First, Frame::Second);
        match self {
            Self::Downgrade => (Entry::ReadWrite(first), Entry::ReadOnly(first)),
            Self::FlushUpgrade | Self::Upgrade | Self::SpuriousFault => {
                (Entry::ReadOnly(first), Entry::ReadWrite(first))
            }
            Self::Replace => (Entry::ReadWrite(first), Entry::ReadWrite(second)),
            _ => (Entry::ReadWrite(first), Entry::Nothing),
        }
    }

    /// Whether the pages are those of the kernel half.
    pub(super) const fn is_kernel(self) -> bool {
        matches!(
            self,
            Self::KernelRange | Self::Everything | Self::KernelTables
        )
    }

    /// Whether the change is that of a table.
    pub(super) const fn is_of_tables(self) -> bool {
        matches!(self, Self::Tables | Self::KernelTables)
    }

    /// The pages that change.
    pub(super) fn pages(self) -> StepBy<Range<usize>> {
        match self {
            Self::Reclaim => (0..PAGES).step_by(2),
            Self::Page | Self::Replace => (0..1).step_by(1),
            _ if self.is_of_rights() => (0..1).step_by(1),
            _ => (0..PAGES).step_by(1),
        }
    }

    /// Whether rights change, so that a look takes a write.
    pub(super) const fn is_of_rights(self) -> bool {
        matches!(self, Self::Downgrade) || self.is_upgrade()
    }

    /// Whether rights are widened.
    pub(super) const fn is_upgrade(self) -> bool {
        self.widens_in_place() || matches!(self, Self::Upgrade)
    }

    /// Whether the engine asks for the stores, rather than being called after them.
    pub(super) const fn asks_for_stores(self) -> bool {
        matches!(self, Self::Upgrade | Self::Replace)
    }

    /// Whether rights are widened in one store, which not every device can bear.
    pub(super) const fn widens_in_place(self) -> bool {
        matches!(self, Self::FlushUpgrade | Self::SpuriousFault)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Space => "flush_space",
            Self::Page => "flush_page",
            Self::Range => "flush of a range",
            Self::Start => "start and wait",
            Self::Downgrade => "flush_page of a downgrade",
            Self::FlushUpgrade => "flush_upgrade",
            Self::Upgrade => "upgrade",
            Self::SpuriousFault => "fix_spurious_fault",
            Self::Replace => "replace",
            Self::Gather => "a gather",
            Self::Reclaim => "a reclaim batch",
            Self::Tables => "flush of a range with its tables",
            Self::KernelRange => "flush_kernel_range",
            Self::Everything => "flush_all",
            Self::KernelTables => "flush_kernel_tables",
            Self::AtOnce => "flushes of several CPUs at once",
        })
    }
}
