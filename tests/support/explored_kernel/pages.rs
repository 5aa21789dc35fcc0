//! The two pages of the process, and what has become of changes of them.

/// Where a change of a page has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is changed that nobody has been told of.
    Settled,
    /// Stored, and nothing else.
    Changed(Change),
    /// A ticket waits for it.
    UnderWay,
    /// It is in the batch.
    Deferred,
    /// It is in the batch, whose flush is waited for.
    InBatchFlush,
}

/// What was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The page is gone, and this frame may be freed.
    Unmapped {
        frame: u64,
    },
    Narrowed,
    Widened,
}

/// A page as the kernel has it in its books.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Nothing where it is not mapped.
    pub(super) frame: Option<u64>,
    pub(super) writable: bool,
    pub(super) stage: Stage,
}

impl Page {
    pub(super) fn is_settled(&self) -> bool {
        self.stage == Stage::Settled
    }

    pub(super) fn is_mapped(&self) -> bool {
        self.frame.is_some()
    }

    pub(super) fn is_writable(&self) -> bool {
        self.is_mapped() && self.writable
    }

    /// The change that is stored and that nobody has been told of.
    pub(super) fn change(&self) -> Option<Change> {
        match self.stage {
            Stage::Changed(change) => Some(change),
            _ => None,
        }
    }
}
