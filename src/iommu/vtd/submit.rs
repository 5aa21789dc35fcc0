//! One shootdown's part: what is queued.

use super::command::{Command, DeviceTarget};
use super::config::{DeviceTlb, Mode};
use super::ids::SourceId;
use super::queue::FENCE;
use super::span::{Block, Blocks};
use super::state::{Binding, Device, Locked};
use super::tag::Tag;
use crate::address::FlushRange;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::flush::{Depth, Flush};
use crate::secondary::{AttachKey, Full, Invalidation};

/// The unit's own part of an invalidation, for each tag.
#[derive(Clone, Copy)]
pub(super) enum Plan {
    Whole,
    Pages(Blocks, Depth),
}

impl Plan {
    fn commands(&self) -> u64 {
        match self {
            Self::Whole => 1,
            Self::Pages(blocks, _) => blocks.as_slice().len() as u64,
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
        Defect::VtdFullSwallowed.swallows(queued)
    }

    fn queue_space(&mut self, key: AttachKey, flush: &Flush) -> Result<(), Full> {
        let Some((index, _)) = self.state.spaces.find(key) else {
            return Ok(());
        };
        let (mut plan, mut escalations) = self.plan(flush);
        let mut blocks = Blocks::for_device(flush.range());
        let tags = self.count_tags(index);
        if self.never_fits(plan.commands() * tags, self.count_flushes(index, &blocks)) {
            if matches!(plan, Plan::Pages(..)) {
                plan = Plan::Whole;
                escalations += 1;
            }
            if self.never_fits(tags, self.count_flushes(index, &blocks)) {
                blocks = Blocks::ALL;
                escalations += 1;
            }
        }
        let flushes = self.count_flushes(index, &blocks);
        self.reserve(plan.commands() * tags, flushes)?;
        if !Defect::VtdEscalationUncounted.is_put_back() {
            self.cost.escalations += escalations;
        }
        self.open();
        let is_swapped = Defect::VtdDeviceTlbFirst.is_put_back();
        if is_swapped {
            self.remember_flushes(Some(index), &blocks);
            self.put_pending();
        }
        self.put_iotlb(index, &plan);
        if !is_swapped {
            self.remember_flushes(Some(index), &blocks);
        }
        Ok(())
    }

    /// What to invalidate in the unit's TLB, and how often the request had to be widened for it.
    fn plan(&self, flush: &Flush) -> (Plan, u32) {
        // CAP.PSI is of second stages.
        let by_page = self.hw.config.mode == Mode::Scalable || self.hw.features.page_selective;
        match flush.range() {
            FlushRange::All if Defect::FullFlushRoundedToNothing.is_put_back() => {
                (Plan::Pages(Blocks::NONE, Depth::Tables), 0)
            }
            FlushRange::All => (Plan::Whole, 0),
            FlushRange::Pages(_) if !by_page => (Plan::Whole, 1),
            FlushRange::Pages(pages) => {
                match Blocks::for_iotlb(pages, self.hw.features.largest_mask) {
                    Some(blocks) => (Plan::Pages(blocks, flush.depth()), 0),
                    None => (Plan::Whole, 1),
                }
            }
        }
    }

    /// Everything that the unit caches, of every PASID: the tables are shared by all of them. One descriptor does it in the unit, and
    /// one for each address space in each device TLB, because not every device knows an invalidation for all PASIDs.
    fn queue_kernel_tables(&mut self) -> Result<(), Full> {
        let flushes = self.count_all_flushes();
        self.reserve(1, flushes)?;
        self.open();
        let all = Command::iotlb_all(self.hw.features.drain);
        self.put(all);
        if !Defect::VtdKernelTablesIgnored.is_put_back() {
            self.remember_flushes(None, &Blocks::ALL);
        }
        Ok(())
    }

    /// Stops every walk of an address space, and queues what drops all that was cached from it.
    pub(super) fn release(&mut self, key: AttachKey) -> Result<(), Full> {
        let Some((index, _)) = self.state.spaces.find(key) else {
            return Ok(());
        };
        self.silence(index);
        if self.state.stopped.is_some() {
            return Ok(());
        }
        let tags = self.count_tags(index);
        let flushes = self.count_flushes(index, &Blocks::ALL);
        self.reserve(2 * tags + 1, flushes)?;
        self.open();
        self.put_tag_flushes(index);
        self.remember_flushes(Some(index), &Blocks::ALL);
        Ok(())
    }

    /// Clears P in every entry of an address space. No device begins a walk of it once the cache of those entries is invalidated.
    pub(super) fn silence(&mut self, index: usize) {
        if !Defect::VtdWalkLeftOn.is_put_back() {
            self.silence_entries(index);
        }
        if let Some(space) = self.state.spaces.get_mut(index) {
            space.released = true;
        }
    }

    /// `2 * tags + 1` entries: the PASID cache or the context cache, and after that, because it could refill it, the IOTLB (6.5.3.3).
    pub(super) fn put_tag_flushes(&mut self, space: usize) {
        let mode = self.hw.config.mode;
        if !Defect::PasidCacheKept.is_put_back() {
            self.put_each_tag(space, |tag| tag.entries(mode));
        }
        self.put_wait(FENCE);
        self.put_iotlb(space, &Plan::Whole);
    }

    pub(super) fn put_iotlb(&mut self, space: usize, plan: &Plan) {
        let features = self.hw.features;
        let mode = self.hw.config.mode;
        match plan {
            Plan::Whole => self.put_each_tag(space, |tag| tag.whole(mode, &features)),
            Plan::Pages(blocks, depth) => {
                let depth = Defect::HintWhereTablesAreFreed.flattens(*depth);
                for block in blocks.as_slice() {
                    let pages = |tag: Tag| mistaken(tag.pages(mode, &features, *block, depth));
                    self.put_each_tag(space, pages);
                }
            }
        }
    }

    fn put_each_tag(&mut self, space: usize, command: impl Fn(Tag) -> Command) {
        let config = self.hw.config;
        for slot in 0..S {
            if let Some(tag) = self.state.tag_of(space, slot, &config) {
                self.put(command(tag));
            }
        }
    }

    pub(super) fn count_tags(&self, space: usize) -> u64 {
        (0..S)
            .filter(|&slot| self.state.tag_of(space, slot, &self.hw.config).is_some())
            .count() as u64
    }

    /// The number of device invalidations that an address space needs.
    pub(super) fn count_flushes(&self, space: usize, blocks: &Blocks) -> u64 {
        let times = self.state.contexts_of(space);
        let times = times.map(|(_, device)| device.times()).sum::<u64>();
        times * blocks.as_slice().len() as u64
    }

    /// As above for everything in all address spaces.
    pub(super) fn count_all_flushes(&self) -> u64 {
        (0..S)
            .map(|space| self.count_flushes(space, &Blocks::ALL))
            .sum()
    }

    /// Remembers device invalidations of one address space, or of all, for the next seal.
    fn remember_flushes(&mut self, space: Option<usize>, blocks: &Blocks) {
        for slot in 0..S {
            let Some((binding, device)) = self.binding(slot) else {
                continue;
            };
            let Some(tlb) = device.answering().copied() else {
                continue;
            };
            let (id, times) = (device.id, device.times());
            if space.is_some_and(|space| space != binding.space) {
                continue;
            }
            for block in blocks.as_slice() {
                let command = self.device_flush(id, &tlb, &binding, *block);
                for _ in 0..times {
                    self.state.pending.push(binding.device, command);
                }
            }
        }
    }

    pub(super) fn binding(&self, slot: usize) -> Option<(Binding, &Device)> {
        let binding = self.state.bindings.get(slot).copied()??;
        Some((binding, self.state.devices.get(binding.device)?.as_ref()?))
    }

    /// The descriptor for a block in one context of a device.
    fn device_flush(
        &self,
        device: SourceId,
        tlb: &DeviceTlb,
        binding: &Binding,
        block: Block,
    ) -> Command {
        let target = self.target(device, tlb);
        let (command, sized) = match binding.pasid {
            Some(pasid) => (Command::pasid_device_tlb(target, pasid, block), 1 << 11),
            None => (Command::device_tlb(target, block), 1),
        };
        let [w0, w1, w2, w3] = command.words();
        Command::from_words([w0, Defect::SizeBitForgotten.clears(sized, w1), w2, w3])
    }

    fn target(&self, device: SourceId, tlb: &DeviceTlb) -> DeviceTarget {
        DeviceTarget {
            device,
            physical_function: if self.hw.features.physical_functions
                || Defect::PfsidWithoutDit.is_put_back()
            {
                tlb.physical_function
            } else {
                SourceId(0)
            },
            queue_depth: tlb.queue_depth,
        }
    }

    /// Invalidates everything in the device TLBs of one address space, at once.
    pub(super) fn put_device_flushes(&mut self, space: usize) {
        self.put_flushes_where(|binding| binding.space == space);
    }

    /// Invalidates everything in one device's TLB: for each of its address spaces, or for requests without PASID where it has none.
    pub(super) fn put_question(&mut self, slot: usize) {
        if self.state.bindings_of(slot).next().is_some() {
            self.put_flushes_where(|binding| binding.device == slot);
        } else if let Some(Some(device)) = self.state.devices.get(slot)
            && let Some(tlb) = device.answering()
        {
            let command = Command::device_tlb(self.target(device.id, tlb), Block::ALL);
            self.put_device_flush(slot, command);
        }
    }

    fn put_flushes_where(&mut self, concerned: impl Fn(&Binding) -> bool) {
        for slot in 0..S {
            let Some((binding, device)) = self.binding(slot) else {
                continue;
            };
            if let Some(tlb) = device.answering()
                && concerned(&binding)
            {
                let command = self.device_flush(device.id, tlb, &binding, Block::ALL);
                for _ in 0..device.times() {
                    self.put_device_flush(binding.device, command);
                }
            }
        }
    }

    fn never_fits(&self, commands: u64, flushes: u64) -> bool {
        flushes > P as u64 || self.whole_submission(commands, flushes) > self.state.ring.usable()
    }

    /// Makes sure of room. While devices are asked one by one no others are told anything: a time-out must have one cause.
    ///
    /// What is in the way may be nobody's fence, as where a set-up gave up waiting: then whoever finds no room takes it further.
    fn reserve(&mut self, commands: u64, flushes: u64) -> Result<(), Full> {
        let asking = self.state.recovery.is_some() && flushes > 0;
        let needed = self.needed_to_queue(commands, flushes);
        if asking || !self.state.pending.has_room(flushes) || !self.has_room(needed) {
            self.tend();
            return Err(Full);
        }
        Ok(())
    }

    /// Marks that descriptors from here on wait for a seal.
    fn open(&mut self) {
        self.state
            .open_from
            .get_or_insert(self.state.ring.written());
    }
}

/// An invalidation of pages: the same, but for who puts a mistake back.
fn mistaken(command: Command) -> Command {
    let [w0, w1, w2, w3] = command.words();
    // AM\[5:0\] of the second word, PASID\[51:32\] of the first (VT-d 6.5.2.4).
    let w1 = if w1 & 0x3f != 0 && Defect::VtdMaskOneLess.is_put_back() {
        w1 - 1
    } else {
        w1
    };
    Command::from_words([
        Defect::VtdFlushOfAnotherPasid.flips(1 << 32, w0),
        w1,
        w2,
        w3,
    ])
}
