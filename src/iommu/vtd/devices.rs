//! Devices come under translation and leave it.

use super::Vtd;
use super::command::Command;
use super::config::{DeviceSetup, Mode};
use super::context_entry::ContextEntry;
use super::error::{AttachError, Unsupported};
use super::features::Features;
use super::ids::SourceId;
use super::pasid_table::PasidTable;
use super::queue::FENCE;
use super::state::{Device, Locked};
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use crate::lock::RingLock;

/// Bits of a physical address in every table.
pub(super) const PHYSICAL_BITS: u8 = 52;

impl<M, B, L, const S: usize, const P: usize> Vtd<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Puts a device under translation, with no address space yet: its accesses are refused until one is attached.
    ///
    /// The device's own TLB is empty: ATS is enabled in the device after this call, or was reset since the device was last removed. One
    /// that failed to answer and was cut off is always reset first, for nobody knows what it still holds.
    ///
    /// `wait` is asked in every turn of the wait for the unit; `false` ends it. May be called from any context in which `wait` may spin.
    ///
    /// # Errors
    /// [`AttachError`]. After [`AttachError::Timeout`] and [`AttachError::Failed`] the device is added and its memory in use.
    pub fn add_device(
        &self,
        setup: DeviceSetup,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        check_device(self.features(), self.hardware().config.mode, &setup)?;
        let id = setup.device;
        let device = Device {
            id,
            pasids: match setup.pasids {
                Some(region) => Some(PasidTable::new(region, setup.pasid_bits, PHYSICAL_BITS)?),
                None => None,
            },
            pasid_bits: setup.pasid_bits,
            tlb: setup.device_tlb,
            page_requests: setup.page_requests,
            dead: false,
            suspect: false,
            last_flush: 0,
            since: 0,
        };
        self.locked(|l| l.insert_device(device))?;
        // The unit may have cached that there was no entry (CAP.CM).
        self.run(wait, 1, &mut |l| l.put(Command::context_cache_device(id)))
            .map_err(|halt| AttachError::halted(halt, None))
    }

    /// Takes a device out of translation, and gives back the memory of its PASID table, if it has one. Its accesses are refused afterwards.
    ///
    /// # Errors
    /// [`AttachError::InUse`] while an address space is attached to one of its contexts; otherwise as for [`Self::add_device`], and it
    /// may be called again.
    pub fn remove_device(
        &self,
        id: SourceId,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<Option<DmaRegion>, AttachError> {
        let since = self.locked(|l| l.clear_device(id))?;
        self.run(wait, 5, &mut |l| {
            l.put(Command::context_cache_device(id));
            l.put_wait(FENCE);
            l.put_pasid_cache();
            let all = Command::iotlb_all(l.hw.features.drain);
            l.put(all);
        })
        .map_err(|halt| AttachError::halted(halt, None))?;
        self.locked(|l| l.take_device(id, since))
    }
}

fn check_device(features: &Features, mode: Mode, setup: &DeviceSetup) -> Result<(), AttachError> {
    let (most, requests) = match mode {
        Mode::Scalable => (features.pasid_bits.min(20), features.page_requests),
        Mode::Legacy => (0, false),
    };
    if setup.pasid_bits > most || setup.pasids.is_some() != (mode == Mode::Scalable) {
        return Err(Unsupported::Pasids.into());
    }
    if setup.device_tlb.is_some() && !features.device_tlbs {
        return Err(Unsupported::DeviceTlb.into());
    }
    if setup.page_requests && !requests {
        return Err(Unsupported::PageRequests.into());
    }
    Ok(())
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    fn insert_device(&mut self, mut device: Device) -> Result<(), AttachError> {
        if self.state.device_slot(device.id).is_some() {
            return Err(AttachError::InUse);
        }
        let Some(slot) = self.state.devices.iter().position(Option::is_none) else {
            return Err(AttachError::NoSlot);
        };
        device.since = self.state.ring.written();
        if let Some(table) = &device.pasids
            && !self.hw.features.coherent
        {
            table.clean(&self.hw.barriers);
        }
        // Without a PASID table there is nothing to translate by until an address space is attached.
        let entry = device.pasids.as_ref().map(|table| {
            ContextEntry::scalable(
                table.phys(),
                device.pasid_bits,
                device.tlb.is_some(),
                device.page_requests,
            )
        });
        self.hw.barriers.publish_tables();
        self.write_entry(device.id, entry.unwrap_or(ContextEntry::ABSENT))?;
        if let Some(place) = self.state.devices.get_mut(slot) {
            *place = Some(device);
        }
        Ok(())
    }

    fn write_entry(&mut self, id: SourceId, entry: ContextEntry) -> Result<(), AttachError> {
        let (barriers, coherent) = (&self.hw.barriers, self.hw.features.coherent);
        self.state
            .tables
            .write(id, entry, barriers, coherent)
            .ok_or(AttachError::NoSlot)
    }

    /// Gives what tells this device from a later one with the same number.
    fn clear_device(&mut self, id: SourceId) -> Result<u64, AttachError> {
        let slot = self.idle_device(id)?;
        self.write_entry(id, ContextEntry::ABSENT)?;
        self.since(slot).ok_or(AttachError::UnknownDevice)
    }

    /// Gives the memory of a device whose entry is gone; not that of one added since another removal was faster.
    fn take_device(&mut self, id: SourceId, since: u64) -> Result<Option<DmaRegion>, AttachError> {
        let slot = self.idle_device(id)?;
        if self.since(slot) != Some(since) {
            return Err(AttachError::UnknownDevice);
        }
        self.state.pending.drop_device(slot);
        self.state
            .devices
            .get_mut(slot)
            .and_then(Option::take)
            .map(|device| device.pasids.map(PasidTable::into_region))
            .ok_or(AttachError::UnknownDevice)
    }

    fn since(&self, slot: usize) -> Option<u64> {
        Some(self.state.devices.get(slot)?.as_ref()?.since)
    }

    /// The slot of a device without bindings.
    fn idle_device(&self, id: SourceId) -> Result<usize, AttachError> {
        let slot = self
            .state
            .device_slot(id)
            .ok_or(AttachError::UnknownDevice)?;
        if self.state.bindings_of(slot).next().is_some() {
            Err(AttachError::InUse)
        } else {
            Ok(slot)
        }
    }
}
