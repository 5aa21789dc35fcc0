//! Why a cell could not be made.

use core::fmt;

use crate::{Access, Page};

/// A run that shows nothing, because the machine did what no TLB explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// The machine failed.
    Machine(E),
    /// The access before the change did not go as the table said.
    Touch {
        /// The page accessed.
        page: Page,
        /// How it ended.
        access: Access,
    },
    /// The access after the change is neither the old nor the new translation, or was refused for another reason.
    Check {
        /// The page accessed.
        page: Page,
        /// How it ended.
        access: Access,
    },
}

impl<E> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Self::Machine(error)
    }
}

impl<E: fmt::Debug> fmt::Display for Failure<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(error) => write!(out, "the machine failed: {error:?}"),
            Self::Touch { page, access } => write!(out, "before the change, {page:?}: {access:?}"),
            Self::Check { page, access } => write!(out, "after the change, {page:?}: {access:?}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Failure<E> {}
