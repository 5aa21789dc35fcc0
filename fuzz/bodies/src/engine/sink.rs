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
}

impl Sink {
    pub(super) fn new(model: Model, device: &'static Device) -> Self {
        Self {
            model,
            device,
            fates: Mutex::default(),
        }
    }

    fn fates(&self) -> MutexGuard<'_, BTreeMap<u64, Fate>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame is given to a ticket or a batch.
    pub(super) fn give(&self, frame: u64) -> Item {
        let before = self.fates().insert(frame, Fate::Held);
        assert!(
            matches!(before, None | Some(Fate::Released)),
            "{frame:#x} is {before:?}"
        );
        Item::Frame {
            base: PhysAddr::new(frame),
            size: PageSize::KIB_4,
        }
    }

    pub(super) fn fate(&self, frame: u64) -> Option<Fate> {
        self.fates().get(&frame).copied()
    }

    /// A frame that found no place is never used again.
    pub(super) fn lose(&self, frame: u64) {
        self.end(frame, Fate::Quarantined);
    }

    fn end(&self, frame: u64, fate: Fate) {
        let before = self.fates().insert(frame, fate);
        assert_eq!(before, Some(Fate::Held), "{frame:#x} becomes {fate:?}");
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
        assert!(
            !self.device.state().holds(base.raw()),
            "the device still uses {base:#x}"
        );
        self.end(base.raw(), Fate::Released);
        self.model.free(base.raw());
    }

    fn release_table(&self, base: PhysAddr) {
        panic!("no table was given: {base:#x}");
    }

    fn quarantine(&self, items: &[Item], _: &Incomplete<1>) {
        for item in items {
            let Item::Frame { base, .. } = item else {
                panic!("{item:?} was never given");
            };
            self.end(base.raw(), Fate::Quarantined);
        }
    }
}
