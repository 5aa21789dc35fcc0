//! Devices come under translation and leave it.

use super::Iommu;
use super::command::Command;
use super::config::{DeviceKind, DeviceSetup};
use super::device_table::{DeviceTableEntry, Gcr3Root};
use super::error::{AttachError, Unsupported};
use super::gcr3::{self, Gcr3Table};
use super::ids::{DeviceId, DomainId};
use super::init::OUTPUT_BITS;
use super::span::Span;
use super::state::{Device, Kind, Locked};
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use crate::lock::RingLock;

impl<M, B, L, const S: usize, const P: usize> Iommu<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Puts a device under translation, with no address space yet: its accesses are refused until one is attached, but for those without
    /// a PASID where [`DeviceKind::Pasid`] lets them through.
    ///
    /// The device's own TLB is empty: ATS is enabled in the device after this call, or was reset since the device was last
    /// removed. One that failed to answer and was cut off is always reset first, for nobody knows what it still holds.
    ///
    /// `wait` is asked in every turn of the wait for the IOMMU; `false` ends it. May be called from any context in which `wait`
    /// may spin.
    ///
    /// # Errors
    /// [`AttachError`]. After [`AttachError::Timeout`] and [`AttachError::Failed`] the device is added and its memory in use.
    pub fn add_device(
        &self,
        setup: DeviceSetup,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        self.check_device(&setup)?;
        let id = setup.device;
        let kind = match setup.kind {
            DeviceKind::Host => Kind::Host,
            DeviceKind::Pasid {
                gcr3,
                pasid_bits,
                refuse_untagged,
            } => Kind::Pasid {
                gcr3: Gcr3Table::new(gcr3, pasid_bits, OUTPUT_BITS)?,
                domain: DomainId(0),
                refuse_untagged,
            },
        };
        let device = Device {
            id,
            kind,
            queue_depth: setup.ats,
            dead: false,
            suspect: false,
            since: 0,
        };
        self.locked(|l| l.insert_device(device))?;
        self.run(wait, 1, &mut |l| l.put(Command::invalidate_device(id)))
            .map_err(|halt| AttachError::halted(halt, None))
    }

    /// Takes a device out of translation, and gives back the memory of its GCR3 table where it has one. Its accesses are refused afterwards.
    ///
    /// # Errors
    /// [`AttachError::InUse`] while an address space is attached to it; otherwise as for [`Self::add_device`], and it may be called
    /// again.
    pub fn remove_device(
        &self,
        id: DeviceId,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<Option<DmaRegion>, AttachError> {
        let (since, domain) = self.locked(|l| l.clear_device(id))?;
        self.run(wait, 1, &mut |l| l.put(Command::invalidate_device(id)))
            .map_err(|halt| AttachError::halted(halt, None))?;
        if let Some(domain) = domain {
            // The tag goes to somebody else.
            let command = Command::invalidate_pages(domain, None, Span::ALL);
            self.run(wait, 1, &mut |l| l.put(command))
                .map_err(|halt| AttachError::halted(halt, None))?;
        }
        self.locked(|l| l.take_device(id, since))
    }

    fn check_device(&self, setup: &DeviceSetup) -> Result<(), AttachError> {
        let (features, config) = (self.features(), &self.hardware().config);
        if let DeviceKind::Pasid {
            pasid_bits,
            refuse_untagged,
            ..
        } = setup.kind
        {
            let lacking = if config.snp {
                Unsupported::PasidUnderSnp
            } else if !features.guest_translation {
                Unsupported::GuestTranslation
            } else if !features.page_requests {
                Unsupported::PageRequests
            } else if config.cpu_levels as u8 > features.guest_levels {
                Unsupported::Levels
            } else if pasid_bits == 0
                || pasid_bits > features.pasid_bits
                || gcr3::levels(pasid_bits) > features.gcr3_levels
            {
                Unsupported::PasidBits
            } else if refuse_untagged && !features.untagged_as_zero {
                Unsupported::RefuseUntagged
            } else {
                return self.check_device_tlb(setup.ats);
            };
            return Err(lacking.into());
        }
        self.check_device_tlb(setup.ats)
    }

    fn check_device_tlb(&self, queue_depth: Option<u8>) -> Result<(), AttachError> {
        match queue_depth {
            Some(_) if !self.features().device_tlbs => Err(Unsupported::DeviceTlbs.into()),
            Some(depth) if !(1..=32).contains(&depth) => Err(Unsupported::DeviceTlbs.into()),
            Some(_) if self.locked(|l| l.state.events.is_none()) => {
                Err(Unsupported::DeviceTlbsWithoutEvents.into())
            }
            _ => Ok(()),
        }
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    fn insert_device(&mut self, mut device: Device) -> Result<(), AttachError> {
        let id = device.id;
        if !self.state.device_table.contains(id) {
            return Err(AttachError::UnknownDevice);
        }
        if self.state.device_slot(id).is_some() {
            return Err(AttachError::InUse);
        }
        let Some(slot) = self.state.devices.iter().position(Option::is_none) else {
            return Err(AttachError::NoSlot);
        };
        if let Kind::Pasid { domain, .. } = &mut device.kind {
            *domain = self.state.free_domain().ok_or(AttachError::NoDomain)?;
        }
        device.since = self.state.ring.written();
        if let Kind::Pasid {
            gcr3,
            domain,
            refuse_untagged,
        } = &device.kind
        {
            let root = Gcr3Root {
                root: gcr3.phys(),
                levels: gcr3.levels(),
                guest_levels: self.hw.config.cpu_levels as u8,
                refuse_untagged: *refuse_untagged,
            };
            let entry = DeviceTableEntry::guest(&root, *domain, device.queue_depth.is_some());
            self.state.device_table.admit(id, entry, &self.hw.barriers);
        } else {
            self.state.device_table.refuse(id, &self.hw.barriers);
        }
        if let Some(place) = self.state.devices.get_mut(slot) {
            *place = Some(device);
        }
        Ok(())
    }

    /// Gives what tells this device from a later one with the same number, and the tag of its process tables.
    fn clear_device(&mut self, id: DeviceId) -> Result<(u64, Option<DomainId>), AttachError> {
        let slot = self.idle_device(id)?;
        self.state.device_table.refuse(id, &self.hw.barriers);
        let device = self.state.devices.get(slot).and_then(Option::as_ref);
        device
            .map(|device| (device.since, device.domain()))
            .ok_or(AttachError::UnknownDevice)
    }

    /// Gives the memory of a device whose entry is gone; not that of one added since another removal was faster.
    fn take_device(&mut self, id: DeviceId, since: u64) -> Result<Option<DmaRegion>, AttachError> {
        let slot = self.idle_device(id)?;
        let place = self.state.devices.get_mut(slot);
        let device = place
            .and_then(|place| place.take_if(|device| device.since == since))
            .ok_or(AttachError::UnknownDevice)?;
        self.state.deferred.drop_device(slot);
        Ok(match device.kind {
            Kind::Host => None,
            Kind::Pasid { gcr3, .. } => Some(gcr3.into_region()),
        })
    }

    /// The slot of a device without bindings.
    fn idle_device(&self, id: DeviceId) -> Result<usize, AttachError> {
        let slot = self
            .state
            .device_slot(id)
            .ok_or(AttachError::UnknownDevice)?;
        if self.state.is_bound(slot) {
            Err(AttachError::InUse)
        } else {
            Ok(slot)
        }
    }
}
