//! Address spaces come and go.
//!
//! An address space is in the list before its context descriptors are visible, and stays there until they are gone and
//! everything cached from them is invalidated: a flush that runs beside an attach or a detach finds it (promise 2). The ring
//! lock is taken for each step and never while waiting.

use super::config::{AsidSource, Context, TableUpdates, TranslationConfig};
use super::context::ContextDescriptor;
use super::error::{AttachError, Unsupported};
use super::ids::{Asid, Granule};
use super::state::{AttachedSpace, Binding, Locked};
use super::{Smmu, command::Command};
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::lock::RingLock;
use crate::secondary::AttachKey;

impl<M, B, L, const S: usize, const P: usize> Smmu<M, B, L, S, P>
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
        translation: &TranslationConfig,
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
    /// [`AttachError`], never [`AttachError::Timeout`] nor [`AttachError::Failed`]: nothing waits for the SMMU.
    pub fn reserve(
        &self,
        contexts: &[Context],
        translation: &TranslationConfig,
    ) -> Result<AttachKey, AttachError> {
        self.check_translation(translation)?;
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
        let contexts = self.locked(|l| l.install_contexts(key))?;
        self.run(wait, contexts, &mut |l| {
            if let Some((index, _)) = l.state.spaces.find(key) {
                l.put_cfgi_cds(index);
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
        let Some(size) = self.locked(|l| l.unlink_contexts(key)) else {
            return Ok(());
        };
        // Each step asks for the key anew: another detach of it may have been faster.
        let halted = |halt| AttachError::halted(halt, Some(key));
        self.run(wait, size.contexts + 2, &mut |l| {
            if let Some((index, space)) = l.state.spaces.find(key) {
                l.put_cfgi_cds(index);
                l.put_sync(Command::sync());
                if !Defect::SmmuAsidReusedUnclean.is_put_back() {
                    l.put(l.tlbi_asid(space.asid));
                }
            }
        })
        .map_err(halted)?;
        if size.device_tlbs > 0 {
            self.run_once(wait, size.device_tlbs, &mut |l| {
                if let Some((index, _)) = l.state.spaces.find(key) {
                    l.put_atcs(index);
                }
            })
            .map_err(halted)?;
        }
        self.locked(|l| l.unlist_space(key));
        Ok(())
    }

    fn check_translation(&self, translation: &TranslationConfig) -> Result<(), AttachError> {
        let features = self.features();
        let granule_bit = match translation.granule {
            Granule::Kib4 => 0,
            Granule::Kib16 => 1,
            Granule::Kib64 => 2,
        };
        if features.granules >> granule_bit & 1 == 0 {
            return Err(Unsupported::Granule.into());
        }
        let smallest = if translation.granule == Granule::Kib64 {
            12
        } else {
            16
        };
        let root = translation.root.raw();
        if !(smallest..=39).contains(&translation.t0sz)
            || translation.ips > 6
            || output_bits_of(translation.ips) > features.output_bits
            || root & 0x3f != 0
            || root >> features.output_bits.min(52) != 0
        {
            return Err(Unsupported::AddressSize.into());
        }
        let updates = match translation.updates {
            TableUpdates::Software => true,
            TableUpdates::AccessFlag => features.access_flag,
            TableUpdates::AccessFlagAndDirty => features.dirty_state,
        };
        if !updates {
            return Err(Unsupported::TableUpdates.into());
        }
        Ok(())
    }
}

/// How many commands the end of an address space takes.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    contexts: u64,
    device_tlbs: u64,
}

/// TCR.IPS.
fn output_bits_of(ips: u8) -> u8 {
    [32, 36, 40, 42, 44, 48, 52]
        .get(usize::from(ips))
        .copied()
        .unwrap_or(u8::MAX)
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Takes slots for an address space and its contexts: from here on flushes concern it.
    fn list_space(
        &mut self,
        contexts: &[Context],
        translation: &TranslationConfig,
    ) -> Result<AttachKey, AttachError> {
        self.check_contexts(contexts)?;
        let (asid, shared) = self.choose_asid(translation.asid)?;
        let free_bindings = self
            .state
            .bindings
            .iter()
            .filter(|slot| slot.is_none())
            .count();
        let vacant = self.state.spaces.vacant();
        let (Some((index, key)), true) = (vacant, contexts.len() <= free_bindings) else {
            return Err(AttachError::NoSlot);
        };
        let space = AttachedSpace {
            asid,
            shared,
            granule: translation.granule,
            va_bits: 64 - translation.t0sz,
            descriptor: ContextDescriptor::new(translation, asid, shared),
            released: false,
        };
        self.state.spaces.put(index, space);
        for context in contexts {
            let stream = self
                .state
                .stream_slot(context.stream)
                .ok_or(AttachError::UnknownStream)?;
            if let Some(place) = self.state.bindings.iter_mut().find(|slot| slot.is_none()) {
                *place = Some(Binding {
                    space: index,
                    stream,
                    substream: context.substream,
                });
            }
        }
        Ok(key)
    }

    fn check_contexts(&self, contexts: &[Context]) -> Result<(), AttachError> {
        if contexts.is_empty() {
            return Err(AttachError::UnknownStream);
        }
        for (n, context) in contexts.iter().enumerate() {
            let slot = self
                .state
                .stream_slot(context.stream)
                .ok_or(AttachError::UnknownStream)?;
            let Some(Some(stream)) = self.state.streams.get(slot) else {
                return Err(AttachError::UnknownStream);
            };
            if stream.dead {
                return Err(AttachError::Quarantined);
            }
            let number = context.substream.map_or(0, |substream| substream.raw());
            let named = context.substream.is_some();
            if number >> stream.substream_bits != 0 || (named && number == 0) {
                return Err(AttachError::UnknownContext);
            }
            let taken = |binding: &Binding| {
                binding.stream == slot && binding.substream == context.substream
            };
            let twice = contexts
                .get(..n)
                .is_some_and(|earlier| earlier.contains(context));
            if twice || self.state.bindings.iter().flatten().any(taken) {
                return Err(AttachError::InUse);
            }
        }
        // The largest thing that is ever queued at once for it is its release.
        let count = contexts.len() as u64;
        if count > P as u64 || self.whole_submission(count + 2, count) > self.state.ring.usable() {
            return Err(AttachError::QueueTooSmall);
        }
        Ok(())
    }

    /// The ASID to use, and whether it is the CPUs'. An ASID is free again once its detach has invalidated it everywhere.
    fn choose_asid(&self, source: AsidSource) -> Result<(Asid, bool), AttachError> {
        let used = |asid: u16| {
            let mut spaces = self.state.spaces.iter();
            spaces.any(|space| space.asid.0 == asid)
        };
        let largest = if self.hw.features.asid16 {
            u16::MAX
        } else {
            0xff
        };
        match source {
            AsidSource::Private => (1..=largest)
                .find(|&asid| !used(asid))
                .map(|asid| (Asid(asid), false))
                .ok_or(AttachError::AsidInUse),
            AsidSource::Shared(_) if !self.hw.config.broadcast => {
                Err(Unsupported::Broadcast.into())
            }
            AsidSource::Shared(asid) if asid.0 > largest || used(asid.0) => {
                Err(AttachError::AsidInUse)
            }
            AsidSource::Shared(asid) => Ok((asid, true)),
        }
    }

    /// Makes an address space's descriptors valid; gives their number.
    fn install_contexts(&mut self, key: AttachKey) -> Result<u64, AttachError> {
        let (index, space) = self.state.spaces.find(key).ok_or(AttachError::UnknownKey)?;
        if space.released {
            return Err(AttachError::Released);
        }
        let mut contexts = 0;
        for (binding, stream) in self.state.contexts_of(index) {
            stream.contexts.install(
                binding.context(),
                &space.descriptor,
                &self.hw.barriers,
                self.hw.features.coherent,
            );
            contexts += 1;
        }
        Ok(contexts)
    }

    /// Makes an address space's descriptors invalid, for good; it stays in the list.
    fn unlink_contexts(&mut self, key: AttachKey) -> Option<Size> {
        let (index, _) = self.state.spaces.find(key)?;
        self.mark_released(index);
        let mut size = Size::default();
        for (binding, stream) in self.state.contexts_of(index) {
            stream.contexts.clear(
                binding.context(),
                &self.hw.barriers,
                self.hw.features.coherent,
            );
            size.contexts += 1;
            size.device_tlbs += u64::from(stream.answers());
        }
        Some(size)
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
