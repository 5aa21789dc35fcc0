//! What a device asks of the unit, and how that can end.

use crate::memory::descriptor::Leaf;
use crate::tlb::Entry;

/// A transaction or a translation request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) sid: u16,
    pub(super) pasid: Option<u32>,
    pub(super) va: u64,
    pub(super) write: bool,
    /// An ATS translation request: no permission is checked, the answer carries it.
    pub(super) ats: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The address is physical already.
    Bypass,
    Translated(Entry, Leaf),
}

/// A refusal: the fault reason, and whether it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: u8,
    pub(super) recorded: bool,
}
