//! What an IOMMU was asked to forget, and has not: still in its queue, under way, or gone without having been done.

use crate::device_tlb::Atc;
use crate::oracle::{Holder, Span};
use crate::tlb::{Scope, Tlb};
use alloc::vec::Vec;

/// One invalidation, as far as translations go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Of the IOMMU's own TLB.
    Own(Scope),
    /// Of a device's.
    Device(DeviceRequest),
}

/// What a device is to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRequest {
    pub(crate) device: u32,
    pub(crate) pasids: Pasids,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// Whose entries of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pasids {
    /// With and without PASID.
    All,
    /// With any PASID.
    Any,
    /// With this PASID, or without one.
    One(Option<u32>),
}

impl Pasids {
    pub(crate) fn reach(self, pasid: Option<u32>) -> bool {
        match self {
            Self::All => true,
            Self::Any => pasid.is_some(),
            Self::One(one) => pasid == one,
        }
    }

    fn include(self, other: Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Any, Self::One(pasid)) => pasid.is_some(),
            _ => self == other,
        }
    }
}

impl Request {
    /// Whether it does all of the other's work.
    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own(one), Self::Own(other)) => one.includes(other),
            (Self::Device(one), Self::Device(other)) => {
                one.device == other.device
                    && one.pasids.include(other.pasids)
                    && one.first <= other.first
                    && other.last <= one.last
            }
            _ => false,
        }
    }
}

/// The invalidations that went without having been done: overwritten in the queue, given up with a device that did not answer, or dropped
/// with a queue that was switched off. Whoever submitted one has to see to it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dropped(Vec<Request>);

impl Dropped {
    pub(crate) fn drop(&mut self, request: Request) {
        self.0.push(request);
    }

    /// This one has been done, and whatever was dropped of its work with it.
    pub(crate) fn done(&mut self, done: &Request) {
        self.0.retain(|request| !done.includes(request));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Request> + '_ {
        self.0.iter().copied()
    }
}

/// Who has not done one of these that is of this range: the IOMMU of this number, or a device behind it.
pub(crate) fn owing<'a>(
    mut requests: impl Iterator<Item = Request>,
    (index, tlb): (usize, &Tlb),
    device_tlb: impl Fn(u32) -> Option<&'a Atc>,
    range: &Span,
) -> Option<Holder> {
    requests.find_map(|request| {
        let (is_about, holder) = match request {
            Request::Own(scope) => (tlb.is_about(&scope, range), Holder::Iommu(index)),
            Request::Device(request) => {
                let held = device_tlb(request.device)?;
                (
                    held.is_about(&request, range),
                    Holder::Device(request.device),
                )
            }
        };
        is_about.then_some(holder)
    })
}

impl Tlb {
    /// Whether the invalidation is of this range, by what was last walked under the tag that it names.
    pub(crate) fn is_about(&self, scope: &Scope, range: &Span) -> bool {
        let mut tags = self.tags_of(range.root);
        tags.any(|tag| scope.touches(&tag, range.first, range.last))
    }
}
