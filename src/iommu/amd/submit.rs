//! One shootdown's part: what is queued.

use super::command::Command;
use super::config::Translation;
use super::ids::{DomainId, Pasid};
use super::span::{Span, Spans};
use super::state::{AttachedSpace, Locked};
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::flush::Flush;
use crate::secondary::{AttachKey, Full, Invalidation};

/// How many commands an invalidation takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// For the IOMMU's own TLB.
    pub(super) pages: u64,
    /// For devices' TLBs.
    pub(super) device_tlbs: u64,
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    pub(super) fn queue(&mut self, invalidation: &Invalidation) -> Result<(), Full> {
        if self.state.stopped.is_some() {
            return Ok(());
        }
        let queued = match invalidation {
            Invalidation::Space { key, flush } => self.queue_space(*key, flush),
            Invalidation::KernelTables
                if self.hw.config.kernel_tables
                    && !Defect::AmdKernelTablesIgnored.is_put_back() =>
            {
                self.queue_kernel_tables()
            }
            Invalidation::KernelTables => Ok(()),
        };
        Defect::AmdFullSwallowed.swallows(queued.inspect_err(|_| self.clear_the_way()))
    }

    /// What is in the way may be nobody's fence, as where a set-up gave up waiting: whoever finds no room takes it further.
    pub(super) fn clear_the_way(&mut self) {
        self.advance_stages();
        self.tend();
    }

    fn queue_space(&mut self, key: AttachKey, flush: &Flush) -> Result<(), Full> {
        let Some((index, space)) = self.state.spaces.find(key) else {
            return Ok(());
        };
        let mut spans = Spans::new(flush.range());
        let mut escalations = u32::from(spans.widen(flush.range()));
        let one = self.size(index, &space);
        if spans.len() > 1 && !self.ever_fits(2 * one.pages, 2 * one.device_tlbs) {
            spans = Spans::ALL;
            escalations += 1;
        }
        let times = spans.len();
        if !self.can_queue(one.pages * times, one.device_tlbs * times, 0) {
            return Err(Full);
        }
        if !Defect::AmdEscalationUncounted.is_put_back() {
            self.cost.escalations += escalations;
        }
        self.open();
        for span in spans.as_slice() {
            let put = &mut |l: &mut Self, command| l.put(mistaken(command));
            self.for_each_tag(index, &space, *span, put);
        }
        for span in spans.as_slice() {
            self.defer_device_tlbs(index, *span);
        }
        Ok(())
    }

    /// The commands that one block takes.
    pub(super) fn size(&self, index: usize, space: &AttachedSpace) -> Size {
        let contexts = self.state.contexts_of(index);
        let device_tlbs = contexts
            .clone()
            .filter(|(_, device)| device.answers())
            .count() as u64;
        let pages = match space.translation {
            Translation::Host { .. } => 1,
            Translation::Process { .. } => contexts.count() as u64,
        };
        Size { pages, device_tlbs }
    }

    /// Hands over one INVALIDATE_IOMMU_PAGES for each tag under which the IOMMU may hold translations of an address space.
    pub(super) fn for_each_tag(
        &mut self,
        index: usize,
        space: &AttachedSpace,
        span: Span,
        hand_over: &mut dyn FnMut(&mut Self, Command),
    ) {
        if let Some(domain) = space.domain {
            hand_over(self, Command::invalidate_pages(domain, None, span));
            return;
        }
        for slot in 0..S {
            if let Some((domain, pasid)) = self.tag(index, slot) {
                hand_over(self, Command::invalidate_pages(domain, Some(pasid), span));
            }
        }
    }

    /// The tag of the process table in this slot, where the slot is the address space's.
    fn tag(&self, index: usize, slot: usize) -> Option<(DomainId, Pasid)> {
        let (binding, device) = self.state.context(slot)?;
        if binding.space != index {
            return None;
        }
        Some((device.domain()?, binding.pasid?))
    }

    /// Remembers what an address space's devices have to forget.
    pub(super) fn defer_device_tlbs(&mut self, index: usize, span: Span) {
        for slot in 0..S {
            if self
                .state
                .context(slot)
                .is_some_and(|(binding, _)| binding.space == index)
            {
                self.defer_device_tlb(slot, span);
            }
        }
    }

    /// Remembers what the device of the context in this slot has to forget, where it has a TLB that answers.
    fn defer_device_tlb(&mut self, slot: usize, span: Span) {
        let Some((binding, device)) = self.state.context(slot) else {
            return;
        };
        if let Some(depth) = device.queue_depth.filter(|_| device.answers()) {
            let command = Command::invalidate_device_tlb(device.id, binding.pasid, depth, span);
            self.defer(Some(binding.device), command);
        }
    }

    /// The kernel's tables are reached from process tables alone.
    fn queue_kernel_tables(&mut self) -> Result<(), Full> {
        let mut size = Size {
            pages: 0,
            device_tlbs: 0,
        };
        for (_, device) in (0..S)
            .filter_map(|slot| self.state.context(slot))
            .filter(|(binding, _)| binding.pasid.is_some())
        {
            size.pages += 1;
            size.device_tlbs += u64::from(device.answers());
        }
        if size.pages == 0 {
            return Ok(());
        }
        let at_once = self.hw.features.invalidate_all;
        let pages = if at_once { 1 } else { size.pages };
        if !self.can_queue(pages, size.device_tlbs, 0) {
            return Err(Full);
        }
        self.open();
        if at_once {
            self.put(Command::invalidate_all());
        }
        for slot in 0..S {
            let Some((binding, device)) = self.state.context(slot) else {
                continue;
            };
            let (Some(domain), Some(pasid)) = (device.domain(), binding.pasid) else {
                continue;
            };
            if !at_once {
                self.put(Command::invalidate_pages(domain, Some(pasid), Span::ALL));
            }
            self.defer_device_tlb(slot, Span::ALL);
        }
        Ok(())
    }
}

/// An INVALIDATE_IOMMU_PAGES: the same, but for who puts a mistake back.
fn mistaken(command: Command) -> Command {
    let [w0, w1] = command.words();
    // The lowest zero from bit 12 upward says how large a block is that has S, bit 0 (AMD 48882 2.4.3); PDE is bit 1.
    let size = (!w1 >> 12).trailing_zeros() + 12;
    let halved = match (w1 & 1, size) {
        (0, _) => w1,
        (_, 12) => w1 & !1,
        (_, size) => w1 & !(1 << (size - 1)),
    };
    let w1 = if Defect::AmdBlockHalved.is_put_back() {
        halved
    } else {
        w1
    };
    Command::from_words([w0, Defect::AmdDirectoriesKept.clears(1 << 1, w1)])
}
