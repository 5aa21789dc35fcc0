//! Where frames and tables of a modelled machine go: each that was pushed comes back once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::Model;

/// Frees them.
pub(crate) struct Sink {
    model: Model,
    /// Given to a ticket, a batch or a gather, and not back yet.
    owed: Mutex<BTreeSet<u64>>,
}

fn base(item: &Item) -> u64 {
    match *item {
        Item::Frame { base, .. } | Item::DirtyFrame { base, .. } | Item::Table { base } => {
            base.raw()
        }
    }
}

impl Sink {
    pub(crate) fn new(model: &Model) -> Self {
        Self {
            model: model.clone(),
            owed: Mutex::default(),
        }
    }

    /// The item is about to be pushed.
    pub(crate) fn owes(&self, item: &Item) {
        let is_new = self.owed.lock().unwrap().insert(base(item));
        assert!(is_new, "{item:?} is owed already");
    }

    /// How much has not come back.
    pub(crate) fn owed(&self) -> usize {
        self.owed.lock().unwrap().len()
    }

    fn came_back(&self, base: PhysAddr) {
        let was_owed = self.owed.lock().unwrap().remove(&base.raw());
        // A second panic while one unwinds would end every test.
        assert!(was_owed || std::thread::panicking(), "{base:?} comes twice");
        self.model.free(base.raw());
    }
}

impl FrameSink<1> for Sink {
    fn release_frame(&self, base: PhysAddr, _size: PageSize) {
        self.came_back(base);
    }

    fn release_table(&self, base: PhysAddr) {
        self.came_back(base);
    }

    fn quarantine(&self, _items: &[Item], error: &Incomplete<1>) {
        assert!(
            std::thread::panicking(),
            "nothing times out here: {error:?}"
        );
    }
}
