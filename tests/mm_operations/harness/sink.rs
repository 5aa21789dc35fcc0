//! Where memory goes that nobody uses any more.

use std::sync::Mutex;
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::Model;

/// Frees frames and tables of the machine, and remembers which.
pub(crate) struct Sink {
    model: Model,
    /// Frames with their first word, as whoever writes them out finds it.
    pub(super) frames: Mutex<Vec<(u64, u64)>>,
    pub(super) tables: Mutex<Vec<u64>>,
    /// Frames whose reverse mapping went, before they did.
    pub(super) unlinked: Mutex<Vec<u64>>,
}

impl Sink {
    pub(super) fn new(model: Model) -> Self {
        Self {
            model,
            frames: Mutex::default(),
            tables: Mutex::default(),
            unlinked: Mutex::default(),
        }
    }

    /// What a kernel does that has not asked whether it may.
    pub(super) fn release(&self, item: &Item) {
        match *item {
            Item::Frame { base, size } | Item::DirtyFrame { base, size } => {
                self.release_frame(base, size);
            }
            Item::Table { base } => self.release_table(base),
        }
    }

    /// How many pieces of memory have come free.
    pub(super) fn released(&self) -> usize {
        self.frames.lock().unwrap().len() + self.tables.lock().unwrap().len()
    }
}

impl FrameSink<1> for Sink {
    fn release_frame(&self, base: PhysAddr, _: PageSize) {
        let word = self.model.peek(base.raw());
        self.frames.lock().unwrap().push((base.raw(), word));
        self.model.free(base.raw());
    }

    fn remove_reverse_map(&self, base: PhysAddr, _: PageSize) {
        let freed = self.frames.lock().unwrap();
        assert!(freed.iter().all(|(frame, _)| *frame != base.raw()));
        self.unlinked.lock().unwrap().push(base.raw());
    }

    fn release_table(&self, base: PhysAddr) {
        self.tables.lock().unwrap().push(base.raw());
        self.model.free(base.raw());
    }

    fn quarantine(&self, _: &[Item], error: &Incomplete<1>) {
        // A second panic while one unwinds would end every test.
        assert!(std::thread::panicking(), "nobody is silent here: {error:?}");
    }
}
