//! Where frames go, each of them once.

use super::device::Device;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::Model;

/// What has become of a frame that was given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Held,
    Released,
    Quarantined,
}

pub(super) struct Sink {
    model: Model,
    device: &'static Device,
    fates: Mutex<BTreeMap<u64, Fate>>,
    /// What should not have happened, kept until somebody looks: a panic from within a drop would end the process.
    complaints: Mutex<Vec<String>>,
}

impl Sink {
    pub(super) fn new(model: Model, device: &'static Device) -> Self {
        Self {
            model,
            device,
            fates: Mutex::default(),
            complaints: Mutex::default(),
        }
    }

    fn fates(&self) -> MutexGuard<'_, BTreeMap<u64, Fate>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame is given to a ticket or a batch.
    pub(super) fn give(&self, frame: u64) -> Item {
        self.begin(frame);
        Item::Frame {
            base: PhysAddr::new(frame),
            size: PageSize::KIB_4,
        }
    }

    /// The same of a table.
    pub(super) fn give_table(&self, table: u64) -> Item {
        self.begin(table);
        let base = PhysAddr::new(table);
        Item::Table { base }
    }

    /// Held from here on.
    pub(super) fn begin(&self, frame: u64) {
        let before = self.fates().insert(frame, Fate::Held);
        assert!(
            matches!(before, None | Some(Fate::Released)),
            "{frame:#x} is {before:?}"
        );
    }

    pub(super) fn fate(&self, frame: u64) -> Option<Fate> {
        self.fates().get(&frame).copied()
    }

    /// Nobody uses it any more, and no ticket has held it.
    pub(super) fn release(&self, frame: u64) {
        self.release_frame(PhysAddr::new(frame), PageSize::KIB_4);
    }

    /// A frame that found no place is never used again.
    pub(super) fn lose(&self, frame: u64) {
        self.end(frame, Fate::Quarantined);
    }

    fn end(&self, frame: u64, fate: Fate) {
        let before = self.fates().insert(frame, fate);
        if before != Some(Fate::Held) {
            self.complain(format!("{frame:#x} is {before:?} and becomes {fate:?}"));
        }
    }

    fn complain(&self, what: String) {
        let complaints = self.complaints.lock();
        let mut all = complaints.unwrap_or_else(PoisonError::into_inner);
        all.push(what);
    }

    /// Nothing came free too early, twice, or without having been held.
    pub(super) fn assert_content(&self) {
        let complaints = self.complaints.lock();
        let all = complaints.unwrap_or_else(PoisonError::into_inner);
        assert!(all.is_empty(), "{all:?}");
    }

    /// Nothing that was given away is held any more.
    pub(super) fn assert_all_accounted_for(&self) {
        let held: Vec<_> = self
            .fates()
            .clone()
            .into_iter()
            .filter(|fate| fate.1 == Fate::Held)
            .collect();
        assert_eq!(held, []);
    }
}

impl FrameSink<1> for Sink {
    fn release_frame(&self, base: PhysAddr, _: PageSize) {
        if self.device.state().holds(base.raw()) {
            self.complain(format!("the device still uses {base:#x}"));
        }
        self.end(base.raw(), Fate::Released);
        self.model.free(base.raw());
    }

    fn release_table(&self, base: PhysAddr) {
        self.end(base.raw(), Fate::Released);
        self.model.free(base.raw());
    }

    fn quarantine(&self, items: &[Item], _: &Incomplete<1>) {
        for item in items {
            let (Item::Frame { base, .. } | Item::DirtyFrame { base, .. } | Item::Table { base }) =
                item;
            self.end(base.raw(), Fate::Quarantined);
        }
    }
}
