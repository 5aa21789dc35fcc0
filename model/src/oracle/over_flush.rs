//! What invalidations have dropped although no change asked for it.

use super::change::Pending;
use super::{Holder, Span};
use crate::tlb::{Entry, Says};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Pages whose translations invalidations have dropped since the last [`Model::take_over_flush`](crate::Model::take_over_flush) with neither
/// a change of theirs that was not flushed, nor a flush that asked for them ([`Model::asks_for`](crate::Model::asks_for)).
///
/// A page counts once, in whatever spaces and by however many CPUs, IOMMUs or devices it was held. What caches drop unasked, what a fault
/// drops, what the loading of a root drops, and walk caches are nobody's over-flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverFlush {
    /// By CPUs.
    pub cpus: u32,
    /// By IOMMUs and nest MMUs themselves.
    pub iommus: u32,
    /// By devices' TLBs.
    pub devices: u32,
    /// By anybody, of trees of which nothing had been asked for; not counted with the others.
    pub elsewhere: u32,
    /// Translations that were dropped at all, asked for or not, by whomever.
    pub dropped: u32,
}

/// Keeps account of it.
#[derive(Debug, Default)]
pub(super) struct Account {
    asked: Vec<Span>,
    cpus: BTreeSet<(u64, u64)>,
    iommus: BTreeSet<(u64, u64)>,
    devices: BTreeSet<(u64, u64)>,
    elsewhere: BTreeSet<(u64, u64)>,
    dropped: u32,
}

impl Account {
    pub(super) fn ask_for(&mut self, span: Span) {
        self.asked.push(span);
    }

    /// An invalidation drops an entry.
    pub(super) fn dropped(&mut self, holder: Holder, entry: &Entry, pending: &Pending) {
        if matches!(entry.says, Says::Table(_)) {
            return;
        }
        self.dropped += 1;
        let span = Span::of(entry);
        let is_asked_for = self.asked.iter().any(|asked| asked.meets(&span));
        if is_asked_for || pending.excuses(entry) {
            return;
        }
        let is_elsewhere = self.asked.iter().all(|asked| asked.root != span.root);
        let surplus = match holder {
            _ if is_elsewhere => &mut self.elsewhere,
            Holder::Cpu(_) => &mut self.cpus,
            Holder::Iommu(_) => &mut self.iommus,
            Holder::Device(_) => &mut self.devices,
        };
        surplus.insert((span.root, span.first));
    }

    pub(super) fn take(&mut self) -> OverFlush {
        let all = core::mem::take(self);
        OverFlush {
            cpus: all.cpus.len() as u32,
            iommus: all.iommus.len() as u32,
            devices: all.devices.len() as u32,
            elsewhere: all.elsewhere.len() as u32,
            dropped: all.dropped,
        }
    }
}
