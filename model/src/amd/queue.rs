//! The command buffer as it is fetched and worked on.

use super::command::{self, Command, DeviceTlb, Pages, Wait};
use super::event;
use super::iommu::Iommu;
use super::work::{Fetched, Spoiled};
use crate::ground::Ground;
use crate::memory::Memory;
use crate::oracle::{Holder, Span, Violation};
use crate::requests::{Request, owing};
use crate::tlb::Scope;
use alloc::vec::Vec;

/// Commands that may be under way together: beyond that the oldest are done first.
const IN_FLIGHT: usize = 16;

impl Iommu {
    /// Hears devices, does one command if it must or likes to, and fetches at most one. Without a wait nothing has to be done.
    pub(super) fn work_on_queue(&mut self, ground: &mut Ground) {
        if self.work.frozen {
            return;
        }
        self.hear_devices(ground);
        let idle = !self.registers.commands_run || self.fill() == 0;
        let must = idle && self.work.presses() || self.work.outstanding.len() >= IN_FLIGHT;
        if must || ground.chooser.now_if(!self.work.outstanding.is_empty()) {
            self.do_one(ground);
        }
        if !idle {
            self.fetch(ground);
        }
    }

    /// Nothing is left to fetch, or nothing may be, and nothing can be done.
    pub(super) fn is_at_rest(&self) -> bool {
        let fetches = self.registers.commands_run && self.fill() != 0;
        let works = fetches || !self.work.outstanding.is_empty() || !self.unwritten.is_empty();
        self.work.frozen || !works
    }

    /// Looks at a new tail: one slot stays free, or full would look empty.
    pub(super) fn check_tail(&self, from: u64, ground: &mut Ground) {
        let bytes = self.registers.command_bytes();
        let (head, tail) = (self.registers.head, self.registers.tail);
        let distance = |from: u64, to: u64| (to + bytes - from) % bytes.max(1);
        let overrun = bytes != 0 && distance(head, from) + distance(from, tail) >= bytes;
        if overrun || tail >= bytes {
            ground
                .oracle
                .report(Violation::QueueOverrun { iommu: self.index });
        }
    }

    fn fill(&self) -> u64 {
        self.registers.tail ^ self.registers.head
    }

    fn fetch(&mut self, ground: &mut Ground) {
        let at = self.registers.command_at(self.registers.head);
        let asked = self.waiting(at, &ground.memory);
        let memory = &mut ground.memory;
        let words = memory.device_read(at).zip(memory.device_read(at + 8));
        let Some((mut w0, mut w1)) = words.filter(|_| !core::mem::take(&mut self.work.abort_next))
        else {
            self.halt(asked);
            self.record(event::command_hardware_error(at), ground);
            return;
        };
        let is_next = |spoiled: &mut Spoiled| u64::from(spoiled.opcode) == w0 >> 60;
        if let Some(Spoiled { words, .. }) = self.work.spoil_next.take_if(is_next) {
            (w0, w1) = (w0 | words[0], w1 | words[1]);
            memory.write(at, w0);
            memory.write(at + 8, w1);
        }
        let Ok(command) = command::decode(w0, w1, &self.options) else {
            self.halt(asked);
            self.record(event::illegal_command(at), ground);
            return;
        };
        match command {
            Command::Wait(_) => ground.oracle.counts.syncs += 1,
            _ => ground.oracle.counts.commands += 1,
        }
        self.registers.head = (self.registers.head + 16) % self.registers.command_bytes();
        self.work.outstanding.push(Fetched {
            command,
            at,
            sent: None,
        });
    }

    /// What the command in this slot asks for.
    fn waiting(&self, at: u64, memory: &Memory) -> Option<Request> {
        let words = memory.device_read(at).zip(memory.device_read(at + 8));
        let (w0, w1) = words?;
        command::decode(w0, w1, &self.options).ok()?.request()
    }

    /// What every slot between head and tail asks for.
    fn queued<'a>(&'a self, memory: &'a Memory) -> impl Iterator<Item = Request> + 'a {
        let bytes = self.registers.command_bytes().max(16);
        let (head, tail) = (self.registers.head, self.registers.tail);
        let slots = (tail % bytes + bytes - head % bytes) % bytes / 16;
        let at = move |slot| self.registers.command_at((head + slot * 16) % bytes);
        (0..slots).filter_map(move |slot| self.waiting(at(slot), memory))
    }

    /// The command that is refused is software's to see to.
    fn halt(&mut self, refused: Option<Request>) {
        if let Some(request) = refused {
            self.work.dropped.drop(request);
        }
        self.registers.halt();
    }

    /// The buffer is switched off: what is not complete is forgotten, and what was not fetched is as good as that.
    pub(super) fn forget_commands(&mut self, ground: &Ground) {
        let outstanding = core::mem::take(&mut self.work.outstanding);
        let requests = outstanding
            .iter()
            .filter_map(|fetched| fetched.command.request());
        let queued: Vec<_> = requests.chain(self.queued(&ground.memory)).collect();
        queued
            .into_iter()
            .for_each(|request| self.work.dropped.drop(request));
    }

    /// Something of this range was asked for and has not been done.
    pub(crate) fn owes(&self, range: &Span, memory: &Memory) -> Option<Holder> {
        let outstanding = self.work.outstanding.iter();
        let outstanding = outstanding.filter_map(|fetched| fetched.command.request());
        let all = self.queued(memory).chain(outstanding);
        let all = all.chain(self.work.dropped.iter());
        let device_tlb = |device| self.devices.get(&device).map(|device| &device.tlb);
        owing(all, (self.index, &self.tlb), device_tlb, range)
    }

    /// Does one of the commands that may be done: any of them may be next.
    fn do_one(&mut self, ground: &mut Ground) {
        let ready = self.work.ready();
        if ready.is_empty() {
            return;
        }
        self.repeat_accesses(ground);
        let index = ready[ground.chooser.pick(ready.len())];
        let fetched = self.work.outstanding[index];
        if let Command::DeviceTlb(inv) = fetched.command
            && self.is_silent(inv.device)
        {
            self.work.outstanding[index].sent = Some(0);
            return;
        }
        self.work.outstanding.remove(index);
        match fetched.command {
            Command::Nothing => {}
            Command::Wait(wait) => self.complete(wait, ground),
            Command::DeviceEntry { device } => self.entries.forget(device),
            Command::Pages(pages) => self.invalidate(&pages, ground),
            Command::DeviceTlb(inv) => self.tell_device(&inv, ground),
            Command::All => {
                let holder = Holder::Iommu(self.index);
                self.tlb
                    .obey(&Scope::Everything, holder, &mut ground.oracle);
                self.work.dropped.done(&Request::Own(Scope::Everything));
                self.entries.clear();
                self.roots.clear();
            }
        }
    }

    /// The store of a COMPLETION_WAIT. Under SNP it reaches the completion range alone.
    fn complete(&mut self, wait: Wait, ground: &mut Ground) {
        if let Some((at, data)) = wait.store {
            let allowed = !self.options.snp || self.registers.in_completion_range(at);
            if allowed && ground.memory.device_read(at).is_some() {
                ground.memory.write(at, data);
            }
        }
        if wait.interrupt {
            self.registers.signal_completion();
        }
    }

    fn invalidate(&mut self, pages: &Pages, ground: &mut Ground) {
        let scope = pages.scope();
        let holder = Holder::Iommu(self.index);
        self.tlb.obey(&scope, holder, &mut ground.oracle);
        self.work.dropped.done(&Request::Own(scope));
        // The root of a PASID is one more directory, and above all addresses.
        if let Some(pasid) = pages.pasid
            && pages.directories
            && pages.block.is_everything()
        {
            self.roots.forget(pages.domain, pasid);
        }
    }

    fn is_silent(&self, device: u32) -> bool {
        self.devices
            .get(&device)
            .is_some_and(|device| device.silent)
    }

    fn tell_device(&mut self, inv: &DeviceTlb, ground: &mut Ground) {
        // Where there is no such device the request is aborted, which completes the command.
        let Some(device) = self.devices.get_mut(&inv.device) else {
            return;
        };
        self.work.dropped.done(&inv.request());
        for (pasid, va) in device.invalidate(inv, &mut ground.oracle) {
            self.request_translation(inv.device, pasid, va, ground);
        }
    }

    /// Devices answer, or are given up: the command then counts as complete although nothing was invalidated.
    fn hear_devices(&mut self, ground: &mut Ground) {
        let mut index = 0;
        while index < self.work.outstanding.len() {
            let fetched = &mut self.work.outstanding[index];
            let (Command::DeviceTlb(inv), Some(waited)) = (fetched.command, &mut fetched.sent)
            else {
                index += 1;
                continue;
            };
            *waited += 1;
            let (waited, at) = (*waited, fetched.at);
            if !self.is_silent(inv.device) {
                self.work.outstanding.remove(index);
                self.tell_device(&inv, ground);
            } else if self.registers.times_out() && waited > self.options.iotlb_timeout {
                self.work.outstanding.remove(index);
                self.work.dropped.drop(inv.request());
                self.record(event::invalidation_timeout(inv.device, at), ground);
            } else {
                index += 1;
            }
        }
    }
}
