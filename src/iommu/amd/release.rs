//! The end of an address space's walks (promise 10).

use super::command::Command;
use super::config::Translation;
use super::span::Span;
use super::state::{AttachedSpace, Locked};
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::secondary::{AttachKey, Full};

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Stops every walk of an address space, and queues what drops all that was cached from it.
    pub(super) fn release(&mut self, key: AttachKey) -> Result<(), Full> {
        let Some((index, space)) = self.state.spaces.find(key) else {
            return Ok(());
        };
        self.silence(index, &space);
        if self.state.stopped.is_some() {
            return Ok(());
        }
        let queued = match space.translation {
            Translation::Process { .. } => self.queue_end_of_process(index, &space),
            Translation::Host { .. } => self.queue_end_of_host(index, &space),
        };
        queued.inspect_err(|_| self.clear_the_way())
    }

    /// No table leads to the address space any more, for good.
    fn silence(&mut self, index: usize, space: &AttachedSpace) {
        for (binding, device) in self.state.contexts_of(index) {
            match (space.translation, binding.pasid, device.gcr3()) {
                _ if Defect::AmdWalkLeftOn.is_put_back() => {}
                (Translation::Process { .. }, Some(pasid), Some(gcr3)) => {
                    gcr3.clear(pasid, &self.hw.barriers);
                }
                // What a device's own TLB holds is used until it has forgotten it, unless it was cut off.
                _ => self
                    .state
                    .device_table
                    .silence(device.id, &self.hw.barriers),
            }
        }
        if let Some(space) = self.state.spaces.get_mut(index) {
            space.released = true;
        }
    }

    /// What the IOMMU has cached of the GCR3 table goes with the PASID's translations.
    fn queue_end_of_process(&mut self, index: usize, space: &AttachedSpace) -> Result<(), Full> {
        let size = self.size(index, space);
        if !self.can_queue(size.pages, size.device_tlbs, 0) {
            return Err(Full);
        }
        self.open();
        if !Defect::AmdTagReusedUnclean.is_put_back() {
            self.for_each_tag(index, space, Span::ALL, &mut |l, command| l.put(command));
        }
        self.defer_device_tlbs(index, Span::ALL);
        Ok(())
    }

    /// The translations are dropped after the device table entries, by which they could be made anew, and the devices' after those.
    fn queue_end_of_host(&mut self, index: usize, space: &AttachedSpace) -> Result<(), Full> {
        let size = self.size(index, space);
        let devices = self.state.contexts_of(index).count() as u64;
        if !self.can_queue(devices, size.pages + size.device_tlbs, 1) {
            return Err(Full);
        }
        self.open();
        self.put_device_entries(index);
        self.for_each_tag(index, space, Span::ALL, &mut |l, command| {
            l.defer(None, command);
        });
        self.defer_device_tlbs(index, Span::ALL);
        Ok(())
    }

    /// INVALIDATE_DEVTAB_ENTRY for every device of an address space.
    pub(super) fn put_device_entries(&mut self, index: usize) {
        for slot in 0..S {
            if let Some((binding, device)) = self.state.context(slot)
                && binding.space == index
            {
                let command = Command::invalidate_device(device.id);
                self.put(command);
            }
        }
    }
}
