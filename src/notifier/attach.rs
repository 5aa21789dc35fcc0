//! Attach and registration.

use super::{Attachment, StaticTlb};
use crate::arch::{Arch, Reach};
use crate::attachment::{Attached, Status};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::error::AttachError;
use crate::platform::Platform;
use crate::secondary::{AttachKey, Needs};
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Attaches a secondary TLB to a space. On return every flush that starts anywhere tells it.
    ///
    /// This comes *before* the device can walk: attach here first, then make the device's table entry visible (Arm: the context
    /// descriptor). A walk made after that sees the page tables as they are then, or is told of the change. One implementor may
    /// serve many spaces, under different keys.
    ///
    /// # Errors
    /// [`AttachError::NoPlace`] or [`AttachError::Retired`].
    ///
    /// # Context
    /// Any but NMI. Does not wait for hardware.
    pub fn attach(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        tlb: StaticTlb,
        key: AttachKey,
    ) -> Result<Attachment, AttachError> {
        if !space.is_live() {
            return Err(AttachError::Retired);
        }
        let snoops = tlb.needs().contains(Needs::SNOOPS_BROADCASTS);
        if snoops {
            // Before the slot, so that no flush finds the device and still stays local.
            self.arch().snooper_added(&space.hardware);
            space.secondaries.add_snooper();
        }
        let Some((index, generation)) = space.secondaries.attach(Attached { tlb, key }) else {
            if snoops {
                self.remove_snooper(space);
            }
            return Err(AttachError::NoPlace);
        };
        // Promise 2: the list is visible before the table entry that the caller stores next.
        self.publish_membership();
        // The list before the life, and the life before the list in `retire`: either that one has released this attachment, or
        // this one sees the end and takes itself off. Both may happen.
        if !space.is_live() {
            // No device has used it: there is no walk to stop.
            self.take_off(space, (index, generation), Status::Live, snoops);
            return Err(AttachError::Retired);
        }
        Ok(Attachment {
            space: space.id(),
            index,
            generation,
        })
    }

    /// Registers an IOMMU with the engine itself, once, for kernel tables that are freed
    /// ([`flush_kernel_tables`](Shootdown::flush_kernel_tables)). For ever: IOMMUs do not go away.
    ///
    /// # Errors
    /// [`AttachError::NoPlace`].
    ///
    /// # Context
    /// Before the IOMMU walks any root that holds kernel tables.
    pub fn register_instance(&self, tlb: StaticTlb) -> Result<(), AttachError> {
        let key = AttachKey(0);
        self.instances
            .attach(Attached { tlb, key })
            .ok_or(AttachError::NoPlace)?;
        // Promise 2: registered before the IOMMU walks anything.
        self.publish_membership();
        Ok(())
    }

    fn publish_membership(&self) {
        let _pin = self.platform().pin_cpu();
        let mut cost = Cost::ZERO;
        if !Defect::DeviceJoinsUnordered.is_put_back() {
            self.arch().store_barrier(Reach::Broadcast, &mut cost);
        }
    }
}
