//! Devices that share processes' tables, as a kernel has them whose IOMMU may be any.

use super::bounds::Surplus;
use super::loan::lend;
use super::{Machine, Process};
use core::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::notifier::Attachment;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb,
};
use tlb_shootdown_model::oracle::Counts;

/// A process that a context of a device serves.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) key: AttachKey,
    pub(crate) attachment: Attachment,
}

/// Some devices behind one secondary TLB: contexts, each of which serves one process at a time.
pub(crate) trait Devices<M: Machine> {
    /// How many contexts there are.
    fn contexts(&self) -> usize;

    /// Lets a context that serves nobody serve this process. Nothing where the process cannot be served yet.
    fn attach(&self, machine: &M, context: usize, process: &Process<M::Arch>) -> Option<Attached>;

    /// Takes the process away again.
    fn detach(&self, machine: &M, context: usize, process: &Process<M::Arch>, attached: Attached);

    /// The process was retired while the context served it.
    fn retired(&self, machine: &M, context: usize, process: &Process<M::Arch>, key: AttachKey);

    /// Reads a word; whether it was allowed to.
    fn read(&self, context: usize, va: u64) -> bool;

    /// Writes a word; whether it was allowed to.
    fn write(&self, context: usize, va: u64, value: u64) -> bool;

    /// The device of a context, or what would tell it, answers no invalidation from now on, or does again.
    fn set_silent(&self, context: usize, silent: bool) {
        let _ = (context, silent);
    }

    /// Whether they are told of what is put into a batch when it is put there ([`Needs::AT_ADD`]).
    fn are_told_at_once(&self) -> bool {
        false
    }

    /// Whether they may go on missing a page that was mapped until that is flushed.
    fn miss_new_pages(&self) -> bool {
        false
    }

    /// What IOMMUs and devices may drop beside what a flush asked for.
    fn surplus(&self) -> (Surplus, Surplus) {
        (Surplus::AsMuch, Surplus::AsMuch)
    }

    /// The library's figures are the machine's.
    fn compare(&self, cost: &Cost, counts: &Counts) {
        let said = [
            cost.commands,
            cost.syncs,
            cost.doorbells,
            cost.queue_barriers,
        ];
        let counted = [
            counts.commands,
            counts.syncs,
            counts.doorbells,
            counts.queue_barriers,
        ];
        assert_eq!(said, counted);
    }
}

/// None at all.
pub(crate) struct NoDevices;

impl<M: Machine> Devices<M> for NoDevices {
    fn contexts(&self) -> usize {
        0
    }

    fn attach(&self, _: &M, _: usize, _: &Process<M::Arch>) -> Option<Attached> {
        None
    }

    fn detach(&self, _: &M, _: usize, _: &Process<M::Arch>, _: Attached) {}

    fn retired(&self, _: &M, _: usize, _: &Process<M::Arch>, _: AttachKey) {}

    fn read(&self, _: usize, _: u64) -> bool {
        false
    }

    fn write(&self, _: usize, _: u64, _: u64) -> bool {
        false
    }
}

/// A secondary TLB that needs to be told more than it says itself.
pub(crate) struct Needing {
    tlb: &'static dyn SecondaryTlb,
    more: Needs,
}

impl Needing {
    pub(crate) fn new(tlb: &'static dyn SecondaryTlb, more: Needs) -> &'static Self {
        lend(Self { tlb, more })
    }
}

// SAFETY: all that was promised is promised by the one within.
unsafe impl SecondaryTlb for Needing {
    fn queue(&self, invalidation: &Invalidation, cost: &mut Cost) -> Result<(), Full> {
        self.tlb.queue(invalidation, cost)
    }

    fn seal(&self, cost: &mut Cost) -> Fence {
        self.tlb.seal(cost)
    }

    fn poll(&self, fence: &mut Fence, cost: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        self.tlb.poll(fence, cost)
    }

    fn release(&self, key: AttachKey, cost: &mut Cost) -> Result<(), Full> {
        self.tlb.release(key, cost)
    }

    fn needs(&self) -> Needs {
        self.tlb.needs() | self.more
    }
}
