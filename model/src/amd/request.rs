//! What a device asks of the IOMMU, and how that can end.

use crate::memory::descriptor::Leaf;
use crate::tlb::Entry;

/// A transaction or a translation request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) device: u32,
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

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: u8,
    pub(super) domain: u16,
    pub(super) permission: bool,
    /// Page faults of translation requests are told to the device alone.
    pub(super) recorded: bool,
}
