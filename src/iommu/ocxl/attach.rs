//! Processes come and go.
//!
//! A process is in the list before any of its elements is valid, and stays there until none is and everything cached through them is
//! invalidated: a flush that runs beside an attach or a detach finds it (promise 2). The lock is taken for each step and never while
//! waiting.

use super::Link;
use super::config::{Context, Process};
use super::ending::Progress;
use super::error::{AttachError, Unfinished};
use super::host::Host;
use super::process_element::ProcessElement;
use super::state::{AttachedProcess, Element, Life, Locked, Stage};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::lock::RingLock;
use crate::secondary::{AttachKey, Fence};
use core::task::Poll;

impl<M, B, L, H, const S: usize, const R: usize> Link<M, B, L, H, S, R>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
    H: Host,
{
    /// Takes places for a process in contexts of the link's devices, and the key for it. No device acts for it yet.
    ///
    /// A process may be attached under several keys, each for contexts of its own. The order that loses no flush: reserve; attach the
    /// key to the address space in the engine; [`Self::install`].
    ///
    /// # Errors
    /// [`AttachError::UnknownContext`], [`AttachError::InUse`], [`AttachError::NoSlot`].
    ///
    /// # Context
    /// Any but NMI.
    pub fn reserve(
        &self,
        contexts: &[Context],
        process: &Process,
    ) -> Result<AttachKey, AttachError> {
        let key = self.locked(|l| l.list(contexts, process))?;
        // The list is visible before any element: pairs with the barrier between a flusher's page-table store and its look at the list.
        self.hardware.barriers.publish_tables();
        Ok(key)
    }

    /// Makes the elements of a process valid: its devices may be started on it from here on. Idempotent. Waits for nothing.
    ///
    /// # Errors
    /// [`AttachError::UnknownKey`], [`AttachError::Released`].
    ///
    /// # Context
    /// Any but NMI.
    pub fn install(&self, key: AttachKey) -> Result<(), AttachError> {
        self.locked(|l| l.install(key))
    }

    /// Detaches a process: afterwards no device acts for it, nothing is cached of it, and its PASIDs are free. Does nothing for a key
    /// that names nothing any more. Comes after the engine's detach, which has done most of it.
    ///
    /// The order: its devices end their accesses; its elements are emptied; what the link has cached of them is dropped, then what the
    /// nest MMU has cached of the process. Each step begins when the one before is done, for each element on its own.
    ///
    /// `wait` is asked in every turn; `false` ends the wait.
    ///
    /// # Errors
    /// [`AttachError::Host`], [`AttachError::Timeout`], [`AttachError::Failed`]: it is still attached, its PASIDs are in use, and what is
    /// not done is as it was. It may be detached again, and goes on there.
    ///
    /// # Context
    /// Any in which `wait` may spin.
    pub fn detach(
        &self,
        key: AttachKey,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        loop {
            let unfinished = match self.end(key, &mut Cost::default()) {
                None => return Ok(()),
                Some(Progress::Refused(what)) => return Err(AttachError::Host(what)),
                Some(Progress::Waiting(what)) => what,
                Some(Progress::Ended(number)) => {
                    match self.locked(|l| l.poll(&Fence::new(number))) {
                        Poll::Ready(Ok(())) => break,
                        Poll::Ready(Err(error)) => return Err(AttachError::Failed(error)),
                        Poll::Pending => Unfinished::Invalidation,
                    }
                }
            };
            let locked = |ask: &mut dyn FnMut() -> bool| self.locked(|_| ask());
            if !Defect::LinkLockedWhileWaiting.asks_under(wait, locked) {
                return Err(AttachError::Timeout(key, unfinished));
            }
        }
        self.locked(|l| l.unlist(key));
        Ok(())
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const R: usize> Locked<'_, M, B, S, R> {
    /// Takes slots for a process and its contexts: from here on flushes concern it.
    fn list(&mut self, contexts: &[Context], process: &Process) -> Result<AttachKey, AttachError> {
        self.check(contexts)?;
        let free = self.state.elements.iter().filter(|slot| slot.is_none());
        let room = contexts.len() <= free.count();
        let (Some((owner, key)), true) = (self.state.processes.vacant(), room) else {
            return Err(AttachError::NoSlot);
        };
        let attached = AttachedProcess {
            process: *process,
            life: Life::Open,
            walked: false,
        };
        self.state.processes.put(owner, attached);
        for &context in contexts {
            if let Some(place) = self.state.elements.iter_mut().find(|slot| slot.is_none()) {
                *place = Some(Element {
                    owner,
                    context,
                    stage: Stage::Reserved,
                    claimed: false,
                });
            }
        }
        Ok(key)
    }

    /// Whether the contexts have places, and those are free.
    fn check(&self, contexts: &[Context]) -> Result<(), AttachError> {
        if contexts.is_empty() {
            return Err(AttachError::UnknownContext);
        }
        for (n, context) in contexts.iter().enumerate() {
            if context.pasid.raw() >= self.hw.pasids {
                return Err(AttachError::UnknownContext);
            }
            let listed = self.state.elements.iter().flatten().map(|e| &e.context);
            let mut others = listed.chain(contexts.iter().take(n));
            if others.any(|other| other.pasid == context.pasid) {
                return Err(AttachError::InUse);
            }
        }
        Ok(())
    }

    fn install(&mut self, key: AttachKey) -> Result<(), AttachError> {
        let found = self.state.processes.find(key);
        let (owner, attached) = found.ok_or(AttachError::UnknownKey)?;
        if attached.life != Life::Open {
            return Err(AttachError::Released);
        }
        if let Some(attached) = self.state.processes.get_mut(owner) {
            attached.walked = true;
        }
        for element in self.state.elements.iter_mut().flatten() {
            if element.owner == owner && element.stage == Stage::Reserved {
                let content = ProcessElement::new(&attached.process, &element.context);
                let pasid = element.context.pasid;
                self.state.spa.install(pasid, &content, &self.hw.barriers);
                element.stage = Stage::Valid;
            }
        }
        Ok(())
    }

    /// Frees the slots of a process of which nothing is left.
    fn unlist(&mut self, key: AttachKey) {
        let Some((owner, _)) = self.state.processes.find(key) else {
            return;
        };
        for slot in &mut self.state.elements {
            if slot.is_some_and(|element| element.owner == owner) {
                *slot = None;
            }
        }
        self.state.processes.remove(owner);
    }
}
