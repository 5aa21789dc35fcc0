//! Address spaces come and go.
//!
//! An address space is in the list before its PASID entries are visible, and stays there until they are gone and everything cached from
//! them is invalidated: a flush that runs beside an attach or a detach finds it (promise 2). The ring lock is taken for each step and
//! never while waiting.

use super::Vtd;
use super::config::{Context, Levels, Mode, TranslationConfig};
use super::context_entry::width_code;
use super::devices::PHYSICAL_BITS;
use super::error::{AttachError, Unsupported};
use super::span::Blocks;
use super::state::{AttachedSpace, Binding, Locked};
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::wait::Halt;
use crate::lock::RingLock;
use crate::secondary::AttachKey;

impl<M, B, L, const S: usize, const P: usize> Vtd<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// [`Self::reserve`] and [`Self::install`] in one, where no flush of the address space can run meanwhile: before its first mapping, or
    /// under a lock of the kernel's that keeps its page table still.
    ///
    /// # Errors
    /// [`AttachError`]. After [`AttachError::Timeout`] with a key, and [`AttachError::Failed`], the address space is attached as far as
    /// the devices are concerned.
    pub fn attach(
        &self,
        contexts: &[Context],
        translation: &TranslationConfig,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<AttachKey, AttachError> {
        let key = self.reserve(contexts, translation)?;
        self.install(key, wait)?;
        Ok(key)
    }

    /// Takes places for an address space in contexts of devices, and the key for it. No device translates by it yet.
    ///
    /// A PASID stands for one address space in all devices of a unit. The order that loses no flush: reserve; attach the key to the
    /// address space in the engine; [`Self::install`].
    ///
    /// # Errors
    /// [`AttachError`], never [`AttachError::Timeout`] nor [`AttachError::Failed`]: nothing waits for the unit.
    pub fn reserve(
        &self,
        contexts: &[Context],
        translation: &TranslationConfig,
    ) -> Result<AttachKey, AttachError> {
        self.check_translation(translation)?;
        let key = self.locked(|l| l.list_space(contexts, translation))?;
        // The list is visible before any table entry: pairs with the barrier between a flusher's page-table store and its look at the
        // list.
        self.hardware().barriers.publish_tables();
        Ok(key)
    }

    /// Lets the devices translate by an address space that has its places. Idempotent.
    ///
    /// # Errors
    /// [`AttachError::UnknownKey`], [`AttachError::Released`]; [`AttachError::Timeout`] and [`AttachError::Failed`], after which the
    /// devices may translate by it.
    pub fn install(
        &self,
        key: AttachKey,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        let entries = self.locked(|l| l.install_entries(key))?;
        // The unit may have cached that the entries were not present (CAP.CM).
        self.run(wait, entries, &mut |l| {
            if let Some((index, _)) = l.state.spaces.find(key) {
                l.put_fresh_flushes(index);
            }
        })
        .map_err(|halt| AttachError::halted(halt, Some(key)))
    }

    /// Detaches an address space: afterwards no device walks it and nothing is cached from it. Does nothing for a key that names nothing
    /// any more.
    ///
    /// The order is the manual's (6.5.3.3): P is cleared, then the PASID cache, the IOTLB and the device TLBs are invalidated, each
    /// when the one before is done; then the entry is emptied.
    ///
    /// # Errors
    /// [`AttachError::Timeout`] and [`AttachError::Failed`]: it is still attached, and may be detached again.
    pub fn detach(
        &self,
        key: AttachKey,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        let Some(tags) = self.locked(|l| l.unlink_entries(key)) else {
            return Ok(());
        };
        // Each step asks for the key anew: another detach of it may have been faster.
        let halted = |halt| AttachError::halted(halt, Some(key));
        self.flush_tags(key, tags, wait).map_err(halted)?;
        let flushes = self.locked(|l| match l.state.spaces.find(key) {
            Some((index, _)) => l.count_flushes(index, &Blocks::ALL),
            None => 0,
        });
        if flushes > 0 {
            self.run(wait, flushes, &mut |l| {
                if let Some((index, _)) = l.state.spaces.find(key) {
                    l.put_device_flushes(index);
                }
            })
            .map_err(halted)?;
        }
        self.locked(|l| l.unlist_space(key));
        Ok(())
    }

    fn flush_tags(
        &self,
        key: AttachKey,
        tags: u64,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), Halt> {
        self.run(wait, 2 * tags + 1, &mut |l| {
            if let Some((index, _)) = l.state.spaces.find(key) {
                l.put_tag_flushes(index);
            }
        })
    }

    fn check_translation(&self, translation: &TranslationConfig) -> Result<(), AttachError> {
        let features = self.features();
        let levels = match (self.hardware().config.mode, translation.levels) {
            (Mode::Scalable, Levels::Three) => false,
            (Mode::Scalable, Levels::Four) => true,
            (Mode::Scalable, Levels::Five) => features.five_levels,
            (Mode::Legacy, levels) => features.second_stage >> width_code(levels) & 1 != 0,
        };
        let root = translation.root.raw();
        if !levels || root & 0xfff != 0 || root >> PHYSICAL_BITS != 0 {
            return Err(Unsupported::AddressSize.into());
        }
        Ok(())
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Takes slots for an address space and its contexts: from here on flushes concern it.
    fn list_space(
        &mut self,
        contexts: &[Context],
        translation: &TranslationConfig,
    ) -> Result<AttachKey, AttachError> {
        let flushes = self.check_contexts(contexts)?;
        let free = |slot: &&Option<Binding>| slot.is_none();
        let free_bindings = self.state.bindings.iter().filter(free).count();
        let vacant = self.state.spaces.vacant();
        let (Some((index, key)), true) = (vacant, contexts.len() <= free_bindings) else {
            return Err(AttachError::NoSlot);
        };
        self.check_domain(contexts, index)?;
        self.check_size(contexts.len() as u64, flushes)?;
        let space = AttachedSpace {
            translation: *translation,
            released: false,
        };
        self.state.spaces.put(index, space);
        for context in contexts {
            let device = self.state.device_slot(context.device);
            let device = device.ok_or(AttachError::UnknownDevice)?;
            if let Some(place) = self.state.bindings.iter_mut().find(|slot| slot.is_none()) {
                *place = Some(Binding {
                    space: index,
                    device,
                    pasid: context.pasid,
                });
            }
        }
        Ok(key)
    }

    /// Whether the contexts are there and free; gives the device invalidations that they add.
    fn check_contexts(&self, contexts: &[Context]) -> Result<u64, AttachError> {
        if contexts.is_empty() {
            return Err(AttachError::UnknownDevice);
        }
        let mut flushes = 0;
        for (n, context) in contexts.iter().enumerate() {
            let slot = self.state.device_slot(context.device);
            let slot = slot.ok_or(AttachError::UnknownDevice)?;
            let Some(Some(device)) = self.state.devices.get(slot) else {
                return Err(AttachError::UnknownDevice);
            };
            if device.dead {
                return Err(AttachError::Quarantined);
            }
            if context.pasid.is_some() && self.hw.config.mode == Mode::Legacy {
                return Err(Unsupported::Pasids.into());
            }
            if let Some(pasid) = context.pasid
                && (pasid.raw() == 0 || pasid.raw() >> device.pasid_bits != 0)
            {
                return Err(AttachError::UnknownContext);
            }
            // A PASID that is in use elsewhere stands for another page table.
            let taken = |binding: &Binding| match context.pasid {
                Some(_) => binding.pasid == context.pasid,
                None => binding.pasid.is_none() && binding.device == slot,
            };
            let twice = contexts
                .get(..n)
                .is_some_and(|earlier| earlier.contains(context));
            if twice || self.state.bindings.iter().flatten().any(taken) {
                return Err(AttachError::InUse);
            }
            flushes += device.times();
        }
        Ok(flushes)
    }

    /// Whether the unit knows the domain that requests without PASID would get.
    fn check_domain(&self, contexts: &[Context], space: usize) -> Result<(), AttachError> {
        let own = contexts.iter().any(|context| context.pasid.is_none());
        let number = u64::from(self.hw.config.domain.0) + 1 + space as u64;
        let domains = 1 << self.hw.features.domain_bits.min(16);
        if own && number >= domains {
            return Err(Unsupported::Domain.into());
        }
        Ok(())
    }

    /// Whether the largest things that are ever queued at once still fit: a release or a drain, and everything for all devices.
    fn check_size(&self, contexts: u64, added: u64) -> Result<(), AttachError> {
        let flushes = self.count_all_flushes() + added;
        let entries = self.whole_submission(2 * contexts + 2, flushes);
        if flushes > P as u64 || entries > self.state.ring.usable() {
            return Err(AttachError::QueueTooSmall);
        }
        Ok(())
    }

    /// Makes an address space's entries present; gives the number of descriptors that make the unit look at them.
    fn install_entries(&mut self, key: AttachKey) -> Result<u64, AttachError> {
        let (index, space) = self.state.spaces.find(key).ok_or(AttachError::UnknownKey)?;
        if space.released {
            return Err(AttachError::Released);
        }
        self.write_entries(index, &space.translation);
        Ok(self.count_fresh_flushes(index))
    }

    /// Ends the walks of an address space for good; it stays in the list. Gives the number of its tags.
    fn unlink_entries(&mut self, key: AttachKey) -> Option<u64> {
        let (index, _) = self.state.spaces.find(key)?;
        self.silence(index);
        Some(self.count_tags(index))
    }

    fn unlist_space(&mut self, key: AttachKey) {
        let Some((index, _)) = self.state.spaces.find(key) else {
            return;
        };
        self.empty_entries(index);
        for slot in &mut self.state.bindings {
            if slot.is_some_and(|binding| binding.space == index) {
                *slot = None;
            }
        }
        self.state.spaces.remove(index);
    }
}
