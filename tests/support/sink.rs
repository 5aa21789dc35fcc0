//! Where memory goes when a ticket is done with it.

use std::sync::Mutex;
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::ticket::{FrameSink, Item};

#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) frames: Mutex<Vec<u64>>,
    pub(crate) tables: Mutex<Vec<u64>>,
    pub(crate) quarantined: Mutex<Vec<(Vec<Item>, Incomplete<1>)>>,
}

impl Sink {
    pub(crate) fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    pub(crate) fn released(&self) -> (usize, usize) {
        (
            self.frames.lock().unwrap().len(),
            self.tables.lock().unwrap().len(),
        )
    }

    pub(crate) fn frame(base: u64) -> Item {
        Item::Frame {
            base: PhysAddr::new(base),
            size: PageSize::KIB_4,
        }
    }

    pub(crate) fn table(base: u64) -> Item {
        Item::Table {
            base: PhysAddr::new(base),
        }
    }
}

impl FrameSink<1> for Sink {
    fn release_frame(&self, base: PhysAddr, _size: PageSize) {
        self.frames.lock().unwrap().push(base.raw());
    }

    fn release_table(&self, base: PhysAddr) {
        self.tables.lock().unwrap().push(base.raw());
    }

    fn quarantine(&self, items: &[Item], error: &Incomplete<1>) {
        let mut quarantined = self.quarantined.lock().unwrap();
        quarantined.push((items.to_vec(), *error));
    }
}
