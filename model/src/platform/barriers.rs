//! The barriers between drivers and devices.

use super::current;
use crate::cpu::Domain;
use crate::model::Model;
use tlb_shootdown::dma::DmaBarriers;

/// [`DmaBarriers`] of a machine. Without them devices go on seeing what was published last.
#[derive(Clone, Debug)]
pub struct ModelBarriers {
    model: Model,
}

impl ModelBarriers {
    /// The barriers of this machine, executed by whichever CPU the calling thread is.
    pub fn new(model: Model) -> Self {
        Self { model }
    }

    fn publish(&self, domain: Domain) {
        self.model
            .with(|world| world.dsb(current::get(), domain, true));
    }
}

// SAFETY: nothing but tests relies on it; the barriers act on the machine that the drivers under test drive.
unsafe impl DmaBarriers for ModelBarriers {
    fn publish_tables(&self) {
        self.publish(Domain::Inner);
    }

    fn before_doorbell(&self) {
        self.publish(Domain::Outer);
    }

    fn after_completion(&self) {}

    fn clean_lines(&self, start: *const u8, len: usize) {
        self.model
            .with(|world| world.ground.memory.clean(start as usize, len));
    }
}
