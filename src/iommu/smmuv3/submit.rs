//! One shootdown's part: what is queued.

use super::atc::{AtcBlock, AtcBlocks};
use super::command::Command;
use super::config::Regime;
use super::ids::{Asid, Vmid};
use super::mistaken;
use super::range::{Plan, Shape, Spans, plan};
use super::span::Span;
use super::state::{AttachedSpace, Locked};
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::flush::Flush;
use crate::secondary::{AttachKey, Full, Invalidation};

/// The host's own translations.
const HOST: Vmid = Vmid(0);

/// The SMMU's own part of an invalidation.
#[derive(Clone, Copy)]
enum Tlbi {
    /// The CPUs' broadcasts do it.
    Broadcast,
    Asid(Asid),
    Spans(Asid, Spans),
    All,
}

impl Tlbi {
    fn commands(&self) -> u64 {
        match self {
            Self::Broadcast => 0,
            Self::Asid(_) | Self::All => 1,
            Self::Spans(_, spans) => spans.count() as u64,
        }
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    pub(super) fn queue(&mut self, invalidation: &Invalidation) -> Result<(), Full> {
        if self.state.stopped.is_some() {
            return Ok(());
        }
        let queued = match invalidation {
            Invalidation::Space { key, flush } => self.queue_space(*key, flush),
            Invalidation::KernelTables if self.hw.config.kernel_tables => {
                self.queue_kernel_tables()
            }
            Invalidation::KernelTables => Ok(()),
        };
        Defect::SmmuFullSwallowed.swallows(queued)
    }

    fn queue_space(&mut self, key: AttachKey, flush: &Flush) -> Result<(), Full> {
        let Some((index, space)) = self.state.spaces.find(key) else {
            return Ok(());
        };
        let mut escalations = 0;
        let mut tlbi = self.plan_tlbi(&space, flush, &mut escalations);
        let ignores_unit = Defect::StuIgnored.is_put_back();
        let mut blocks =
            |stu_shift| AtcBlocks::new(flush.range(), if ignores_unit { 12 } else { stu_shift });
        let mut atcs = self.count_atcs(index, &mut blocks);
        let mut coarse = |_: u8| AtcBlocks::ALL;
        let mut split: &mut dyn FnMut(u8) -> AtcBlocks = &mut blocks;
        if self.never_fits(tlbi.commands(), atcs) {
            if matches!(tlbi, Tlbi::Spans(..)) {
                tlbi = Tlbi::Asid(space.asid);
                escalations += 1;
            }
            if self.never_fits(tlbi.commands(), atcs) {
                split = &mut coarse;
                atcs = self.count_atcs(index, split);
                escalations += 1;
            }
        }
        self.reserve(tlbi.commands(), atcs)?;
        if !Defect::SmmuEscalationUncounted.is_put_back() {
            self.cost.escalations += escalations;
        }
        self.put_tlbi(tlbi);
        self.remember_atcs(index, split);
        Ok(())
    }

    fn plan_tlbi(&self, space: &AttachedSpace, flush: &Flush, escalations: &mut u32) -> Tlbi {
        if space.shared {
            return Tlbi::Broadcast;
        }
        // Half the ring at most, so that a large request does not starve behind small ones.
        let half = self.state.ring.usable() / 2;
        let limit = match self.hw.features.ranges {
            Some(_) => half,
            None if Defect::HugeRangeUnlimited.is_put_back() => half,
            None => half.min(1 << space.granule.level_bits()),
        };
        let shape = Shape {
            granule: space.granule,
            va_bits: space.va_bits,
            ranges: self.hw.features.ranges,
            limit,
        };
        match plan(flush, &shape) {
            Plan::Whole => Tlbi::Asid(space.asid),
            Plan::Escalated => {
                *escalations += 1;
                Tlbi::Asid(space.asid)
            }
            Plan::Spans(spans) => Tlbi::Spans(space.asid, spans),
        }
    }

    fn queue_kernel_tables(&mut self) -> Result<(), Full> {
        let answering = |stream: &&super::state::Stream| stream.answers();
        let atcs = self
            .state
            .streams
            .iter()
            .flatten()
            .filter(answering)
            .count();
        self.reserve(Tlbi::All.commands(), atcs as u64)?;
        self.put_tlbi(Tlbi::All);
        for slot in 0..S {
            if let Some(Some(stream)) = self.state.streams.get(slot)
                && stream.answers()
                && !Defect::SmmuKernelTablesIgnored.is_put_back()
            {
                let command = Command::atc_inv(stream.id, None, AtcBlock::ALL);
                self.state.pending.push(slot, command);
            }
        }
        Ok(())
    }

    /// Stops every walk of an address space, and queues what drops all that was cached from it.
    pub(super) fn release(&mut self, key: AttachKey) -> Result<(), Full> {
        let Some((index, space)) = self.state.spaces.find(key) else {
            return Ok(());
        };
        for (binding, stream) in self.state.contexts_of(index) {
            if !Defect::SmmuWalkLeftOn.is_put_back() {
                stream.contexts.silence(
                    binding.context(),
                    &self.hw.barriers,
                    self.hw.features.coherent,
                );
            }
        }
        self.mark_released(index);
        if self.state.stopped.is_some() {
            return Ok(());
        }
        let contexts = self.state.contexts_of(index).count() as u64;
        let mut whole = |_: u8| AtcBlocks::ALL;
        let atcs = self.count_atcs(index, &mut whole);
        self.reserve(contexts + 2, atcs)?;
        self.open();
        self.put_cfgi_cds(index);
        self.put_sync(Command::sync());
        let asid = self.tlbi_asid(space.asid);
        self.put(asid);
        self.remember_atcs(index, &mut whole);
        Ok(())
    }

    /// Its contexts are not installed any more.
    pub(super) fn mark_released(&mut self, index: usize) {
        if let Some(space) = self.state.spaces.get_mut(index) {
            space.released = true;
        }
    }

    /// CFGI_CD for every context of an address space.
    pub(super) fn put_cfgi_cds(&mut self, space: usize) {
        for slot in 0..S {
            if let Some(Some(binding)) = self.state.bindings.get(slot).copied()
                && binding.space == space
                && let Some(Some(stream)) = self.state.streams.get(binding.stream)
            {
                let command = Command::cfgi_cd(stream.id, binding.substream, true);
                self.put(command);
            }
        }
    }

    /// ATC_INV of everything for every device of an address space, at once.
    pub(super) fn put_atcs(&mut self, space: usize) {
        for slot in 0..S {
            if let Some((stream, command)) = self.atc(space, slot, AtcBlock::ALL) {
                self.put_atc(stream, command);
            }
        }
    }

    /// The ATC_INV that a block needs in the context of this slot, with the slot of its stream; `None` where the context is not
    /// the address space's or its device has no TLB that answers.
    fn atc(&self, space: usize, slot: usize, block: AtcBlock) -> Option<(usize, Command)> {
        let binding = self.state.bindings.get(slot).copied()??;
        let stream = self.state.streams.get(binding.stream)?.as_ref()?;
        let concerned = binding.space == space && stream.answers();
        let command = Command::atc_inv(stream.id, binding.substream, block);
        concerned.then_some((binding.stream, command))
    }

    /// The number of ATC_INVs that an address space's devices need.
    pub(super) fn count_atcs(&self, space: usize, split: &mut dyn FnMut(u8) -> AtcBlocks) -> u64 {
        self.state
            .contexts_of(space)
            .filter(|(_, stream)| stream.answers())
            .filter_map(|(_, stream)| stream.stu_shift)
            .map(|stu_shift| split(stu_shift).as_slice().len() as u64)
            .sum()
    }

    fn remember_atcs(&mut self, space: usize, split: &mut dyn FnMut(u8) -> AtcBlocks) {
        for slot in 0..S {
            let Some(stu_shift) = self.stu_shift_of(slot) else {
                continue;
            };
            for block in split(stu_shift).as_slice() {
                if let Some((stream, command)) = self.atc(space, slot, *block) {
                    self.state.pending.push(stream, command);
                }
            }
        }
    }

    fn stu_shift_of(&self, binding: usize) -> Option<u8> {
        let binding = self.state.bindings.get(binding).copied()??;
        self.state.streams.get(binding.stream)?.as_ref()?.stu_shift
    }

    fn never_fits(&self, commands: u64, atcs: u64) -> bool {
        atcs > P as u64 || self.whole_submission(commands, atcs) > self.state.ring.usable()
    }

    fn reserve(&mut self, commands: u64, atcs: u64) -> Result<(), Full> {
        if !self.state.pending.has_room(atcs) {
            return Err(Full);
        }
        let needed = self.needed_to_queue(commands, atcs);
        if self.has_room(needed) {
            Ok(())
        } else {
            Err(Full)
        }
    }

    /// Marks that commands from here on wait for a seal.
    fn open(&mut self) {
        self.state
            .open_from
            .get_or_insert(self.state.ring.written());
    }

    fn put_tlbi(&mut self, tlbi: Tlbi) {
        if !matches!(tlbi, Tlbi::Broadcast) {
            self.open();
        }
        match tlbi {
            Tlbi::Broadcast => {}
            Tlbi::All => self.put(self.tlbi_all()),
            Tlbi::Asid(asid) => self.put(self.tlbi_asid(asid)),
            Tlbi::Spans(asid, spans) => {
                for span in spans {
                    self.put(self.tlbi_va(asid, span));
                }
            }
        }
    }

    fn tlbi_va(&self, asid: Asid, span: Span) -> Command {
        let command = match self.hw.config.regime {
            Regime::El1 => Command::tlbi_nh_va(HOST, asid, span),
            Regime::El2Host => Command::tlbi_el2_va(asid, span),
        };
        mistaken::tlbi_va(command)
    }

    pub(super) fn tlbi_asid(&self, asid: Asid) -> Command {
        let command = match self.hw.config.regime {
            Regime::El1 => Command::tlbi_nh_asid(HOST, asid),
            Regime::El2Host => Command::tlbi_el2_asid(asid),
        };
        mistaken::tlbi_asid(command)
    }

    fn tlbi_all(&self) -> Command {
        match self.hw.config.regime {
            Regime::El1 => Command::tlbi_nsnh_all(),
            Regime::El2Host => Command::tlbi_el2_all(),
        }
    }
}
