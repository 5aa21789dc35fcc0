//! Units whose chipset holds stores to tables back in a write buffer (CAP.RWBF; VT-d 6.8, 11.4.4 WBF).
//!
//! An invalidation may not start before the page-table stores that it is for have left the buffer, and nobody may wait for that under the
//! ring lock: the doorbell is rung by whoever polls once the flush is over, for as many descriptors as stood there when it began.

use super::registers::{self, Global};
use super::state::Locked;
use crate::dma::{DmaBarriers, Mmio};

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Begins a flush for what is written and not published, unless one is under way; then the next begins when that is over.
    pub(super) fn flush_write_buffer(&mut self) {
        let ring = &self.state.ring;
        if self.state.buffer_flush.is_some() || ring.published() == ring.written() {
            return;
        }
        self.state.buffer_flush = Some(ring.written());
        self.hw.barriers.publish_tables();
        self.cost.store_barriers += 1;
        self.command(Global::WRITE_BUFFER_FLUSH);
    }

    /// Rings the doorbell if a flush is over, and begins the next where more is sealed than it covered.
    pub(super) fn tend_write_buffer(&mut self) {
        let Some(covered) = self.state.buffer_flush else {
            return;
        };
        let status = self.hw.registers.read32(registers::GSTS);
        if Global::from_bits_truncate(status).contains(Global::WRITE_BUFFER_FLUSH) {
            return;
        }
        self.state.buffer_flush = None;
        if self.state.ring.publish_to(covered) {
            self.ring_published();
        }
        if self.state.waited > self.state.ring.published() {
            self.flush_write_buffer();
        }
    }

    /// Gives one command beside the states that are on: GCMD cannot be read, and a bit that is left out is switched off.
    pub(super) fn command(&self, one: Global) {
        let value = self.state.commanded | one;
        self.hw.registers.write32(registers::GCMD, value.bits());
    }
}
