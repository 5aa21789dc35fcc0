//! Address spaces come and go.
//!
//! An address space is in the list before any table leads to it, and stays there until none does and everything cached from it is
//! invalidated: a flush that runs beside an attach or a detach finds it (promise 2). The ring lock is taken for each step and
//! never while waiting.

use super::Iommu;
use super::config::{Context, Translation};
use super::device_table::DeviceTableEntry;
use super::error::{AttachError, Unsupported};
use super::features::Features;
use super::span::Span;
use super::state::{AttachedSpace, Binding, Device, Kind, Locked};
use crate::dma::{DmaBarriers, Mmio};
use crate::lock::RingLock;
use crate::secondary::AttachKey;

impl<M, B, L, const S: usize, const P: usize> Iommu<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// [`Self::reserve`] and [`Self::install`] in one, where no flush of the address space can run meanwhile: before its first
    /// mapping, or under a lock of the kernel's that keeps its page table still.
    ///
    /// # Errors
    /// [`AttachError`]. After [`AttachError::Timeout`] with a key, and [`AttachError::Failed`], the address space is attached
    /// as far as the devices are concerned.
    pub fn attach(
        &self,
        contexts: &[Context],
        translation: &Translation,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<AttachKey, AttachError> {
        let key = self.reserve(contexts, translation)?;
        self.install(key, wait)?;
        Ok(key)
    }

    /// Takes places for an address space in contexts of devices, and the key for it. No device translates by it yet.
    ///
    /// The order that loses no flush: reserve; attach the key to the address space in the engine; [`Self::install`].
    ///
    /// # Errors
    /// [`AttachError`], never [`AttachError::Timeout`] nor [`AttachError::Failed`]: nothing waits for the IOMMU.
    pub fn reserve(
        &self,
        contexts: &[Context],
        translation: &Translation,
    ) -> Result<AttachKey, AttachError> {
        check_translation(self.features(), translation)?;
        let key = self.locked(|l| l.list_space(contexts, translation))?;
        // The list is visible before any table entry: pairs with the barrier between a flusher's page-table store and its look
        // at the list.
        self.hardware().barriers.publish_tables();
        Ok(key)
    }

    /// Lets the devices translate by an address space that has its places. Idempotent.
    ///
    /// # Errors
    /// [`AttachError::UnknownKey`], [`AttachError::Released`]; [`AttachError::Timeout`] and [`AttachError::Failed`], after which
    /// the devices may translate by it.
    pub fn install(
        &self,
        key: AttachKey,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        let commands = self.locked(|l| l.install_contexts(key))?;
        // What the IOMMU has cached of the absence of the tables goes.
        self.run(wait, commands, &mut |l| {
            let Some((index, space)) = l.state.spaces.find(key) else {
                return;
            };
            match space.translation {
                Translation::Host { .. } => l.put_device_entries(index),
                Translation::Process { .. } => {
                    l.for_each_tag(index, &space, Span::ALL, &mut |l, command| l.put(command));
                }
            }
        })
        .map_err(|halt| AttachError::halted(halt, Some(key)))
    }

    /// Detaches an address space: afterwards no device walks it and nothing is cached from it. Does nothing for a key that names
    /// nothing any more.
    ///
    /// # Errors
    /// [`AttachError::Timeout`] and [`AttachError::Failed`]: it is still attached, and may be detached again.
    pub fn detach(
        &self,
        key: AttachKey,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        if self.locked(|l| l.state.spaces.find(key)).is_none() {
            return Ok(());
        }
        self.run_release(wait, key)
            .map_err(|halt| AttachError::halted(halt, Some(key)))?;
        self.locked(|l| l.unlist_space(key));
        Ok(())
    }
}

fn check_translation(features: &Features, translation: &Translation) -> Result<(), AttachError> {
    let root = match *translation {
        Translation::Process { root } => root,
        Translation::Host { root, levels } => {
            if !(1..=features.host_levels).contains(&levels) {
                return Err(Unsupported::Levels.into());
            }
            root
        }
    };
    if root.raw() & 0xfff != 0 || root.raw() >> 52 != 0 {
        return Err(Unsupported::Root.into());
    }
    Ok(())
}

/// Whether a context is one that this translation can stand in.
fn fits(device: &Device, context: &Context, translation: &Translation) -> bool {
    match (translation, &device.kind, context.pasid) {
        (Translation::Host { .. }, Kind::Host, None) => true,
        (Translation::Process { .. }, Kind::Pasid { gcr3, .. }, Some(pasid)) => {
            pasid.raw() != 0 && gcr3.contains(pasid)
        }
        _ => false,
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Takes slots for an address space and its contexts: from here on flushes concern it.
    fn list_space(
        &mut self,
        contexts: &[Context],
        translation: &Translation,
    ) -> Result<AttachKey, AttachError> {
        self.check_contexts(contexts, translation)?;
        self.check_room(contexts.len() as u64)?;
        let bindings = &self.state.bindings;
        let free_bindings = bindings.iter().filter(|slot| slot.is_none()).count();
        let vacant = self.state.spaces.vacant();
        let (Some((index, key)), true) = (vacant, contexts.len() <= free_bindings) else {
            return Err(AttachError::NoSlot);
        };
        let domain = match translation {
            Translation::Process { .. } => None,
            Translation::Host { .. } => {
                Some(self.state.free_domain().ok_or(AttachError::NoDomain)?)
            }
        };
        let space = AttachedSpace {
            translation: *translation,
            domain,
            released: false,
        };
        self.state.spaces.put(index, space);
        for context in contexts {
            let device = self.known_device(context)?;
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

    fn known_device(&self, context: &Context) -> Result<usize, AttachError> {
        self.state
            .device_slot(context.device)
            .ok_or(AttachError::UnknownDevice)
    }

    fn check_contexts(
        &self,
        contexts: &[Context],
        translation: &Translation,
    ) -> Result<(), AttachError> {
        if contexts.is_empty() {
            return Err(AttachError::UnknownDevice);
        }
        for (n, context) in contexts.iter().enumerate() {
            let slot = self.known_device(context)?;
            let Some(Some(device)) = self.state.devices.get(slot) else {
                return Err(AttachError::UnknownDevice);
            };
            if device.dead {
                return Err(AttachError::Quarantined);
            }
            if !fits(device, context, translation) {
                return Err(AttachError::UnknownContext);
            }
            let taken =
                |binding: &Binding| binding.device == slot && binding.pasid == context.pasid;
            let twice = contexts
                .get(..n)
                .is_some_and(|earlier| earlier.contains(context));
            if twice || self.state.bindings.iter().flatten().any(taken) {
                return Err(AttachError::InUse);
            }
        }
        Ok(())
    }

    /// The largest that is ever queued at once is what all address spaces together need after kernel tables were freed.
    fn check_room(&self, more: u64) -> Result<(), AttachError> {
        let all = self.state.bindings.iter().flatten().count() as u64 + more;
        if self.ever_fits(all, all + 1) {
            Ok(())
        } else {
            Err(AttachError::QueueTooSmall)
        }
    }

    /// Lets the tables lead to an address space; gives the number of commands that make the IOMMU look at them.
    fn install_contexts(&mut self, key: AttachKey) -> Result<u64, AttachError> {
        let (index, space) = self.state.spaces.find(key).ok_or(AttachError::UnknownKey)?;
        if space.released {
            return Err(AttachError::Released);
        }
        let mut contexts = 0;
        for (binding, device) in self.state.contexts_of(index) {
            contexts += 1;
            // A device that was cut off meanwhile stays so.
            if device.dead {
                continue;
            }
            match (space.translation, binding.pasid, device.gcr3()) {
                (Translation::Process { root }, Some(pasid), Some(gcr3)) => {
                    gcr3.install(pasid, root, &self.hw.barriers);
                }
                (Translation::Host { root, levels }, ..) => {
                    let domain = space.domain.ok_or(AttachError::UnknownKey)?;
                    let tlb = device.queue_depth.is_some();
                    let entry = DeviceTableEntry::host(root.raw(), levels, domain, tlb);
                    self.state
                        .device_table
                        .admit(device.id, entry, &self.hw.barriers);
                }
                _ => {}
            }
        }
        Ok(contexts)
    }

    fn unlist_space(&mut self, key: AttachKey) {
        let Some((index, _)) = self.state.spaces.find(key) else {
            return;
        };
        for slot in &mut self.state.bindings {
            if slot.is_some_and(|binding| binding.space == index) {
                *slot = None;
            }
        }
        self.state.spaces.remove(index);
    }
}
