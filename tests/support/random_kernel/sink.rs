//! Where frames and tables of a modelled machine go.

use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::Model;

/// Frees them.
pub(crate) struct Sink(pub(crate) Model);

impl FrameSink<1> for Sink {
    fn release_frame(&self, base: PhysAddr, _size: PageSize) {
        self.0.free(base.raw());
    }

    fn release_table(&self, base: PhysAddr) {
        self.0.free(base.raw());
    }

    fn quarantine(&self, _items: &[Item], error: &Incomplete<1>) {
        // A second panic while one unwinds would end every test.
        assert!(
            std::thread::panicking(),
            "nothing times out here: {error:?}"
        );
    }
}
