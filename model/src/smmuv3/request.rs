//! What a device asks of the SMMU, and how that can end.

use crate::memory::descriptor::Leaf;
use crate::tlb::Entry;

/// A transaction or a translation request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) sid: u32,
    pub(super) ssid: Option<u32>,
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

/// A refusal: the event's number, and whether it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) event: u8,
    pub(super) recorded: bool,
}
