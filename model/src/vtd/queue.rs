//! The invalidation queue as it is consumed (6.5.2).

use super::command::{self, Command, DeviceInv, Illegal, Wait};
use super::unit::Vtd;
use crate::ground::Ground;
use crate::memory::Memory;
use crate::oracle::{Holder, Span};
use crate::requests::{Request, owing};

impl Vtd {
    /// Fetches at most one descriptor, and may do one that was fetched before.
    pub(super) fn work_on_queue(&mut self, ground: &mut Ground) {
        if self.work.frozen {
            return;
        }
        if ground.chooser.now_if(!self.work.outstanding.is_empty()) {
            self.do_one(ground);
        }
        if self.may_fetch() {
            self.fetch_one(ground);
        } else if self.work.awaited() && !self.do_one(ground) {
            self.wait_for_devices();
        }
    }

    /// Nothing is left to fetch, or nothing may be, and nobody waits for what was fetched.
    pub(super) fn is_at_rest(&self) -> bool {
        self.work.frozen || (!self.may_fetch() && !self.work.awaited())
    }

    /// Head and tail have met, and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.registers.head == self.registers.tail && self.work.outstanding.is_empty()
    }

    fn may_fetch(&self) -> bool {
        let registers = &self.registers;
        let open = registers.queue_enabled() && !registers.stopped() && !self.work.parked;
        open && registers.head != registers.tail
    }

    fn fetch_one(&mut self, ground: &mut Ground) {
        match self.fetch(ground) {
            Err(reason) => {
                // What is refused is software's to see to.
                let refused = self.waiting(0, &ground.memory);
                if let Some(request) = refused.and_then(|command| command.request()) {
                    self.work.dropped.drop(request);
                }
                self.registers.stop(reason);
            }
            Ok(command) => {
                match command {
                    Command::Wait(_) => ground.oracle.counts.syncs += 1,
                    _ => ground.oracle.counts.commands += 1,
                }
                self.work.outstanding.push(command);
                let next = self.registers.head + self.registers.entry_bytes();
                self.registers.head = next % self.registers.queue_bytes();
            }
        }
    }

    fn fetch(&mut self, ground: &Ground) -> Result<Command, Illegal> {
        self.registers.check_tail()?;
        let words = self.words(0, &ground.memory).ok_or(Illegal::Fetch)?;
        let command = command::decode(words, self.registers.wide(), &self.options)?;
        if !matches!(command, Command::Wait(_))
            && let Some(reason) = self.work.refuse.take()
        {
            return Err(reason);
        }
        Ok(command)
    }

    /// The descriptor so many places behind the head.
    fn words(&self, behind: u32, memory: &Memory) -> Option<[u64; 4]> {
        let bytes = self.registers.entry_bytes();
        let offset = (self.registers.head + behind * bytes) % self.registers.queue_bytes();
        let at = self.registers.queue_address() + u64::from(offset);
        let mut words = [0; 4];
        for (index, word) in words.iter_mut().take(bytes as usize / 8).enumerate() {
            *word = memory.device_read(at + index as u64 * 8)?;
        }
        Some(words)
    }

    fn waiting(&self, behind: u32, memory: &Memory) -> Option<Command> {
        let words = self.words(behind, memory)?;
        command::decode(words, self.registers.wide(), &self.options).ok()
    }

    /// Something of this range was asked for and has not been done.
    pub(crate) fn owes(&self, range: &Span, memory: &Memory) -> Option<Holder> {
        let queued = (0..self.registers.queued()).filter_map(|behind| self.waiting(behind, memory));
        let all = queued.chain(self.work.outstanding.iter().copied());
        let requests = all.filter_map(|command| command.request());
        let requests = requests.chain(self.work.dropped.iter());
        let device_tlb = |device| self.devices.get(&(device as u16)).map(|device| &device.atc);
        owing(requests, (self.index, &self.tlb), device_tlb, range)
    }

    /// Does one of the fetched descriptors: any that is ready may be next. False where none is.
    fn do_one(&mut self, ground: &mut Ground) -> bool {
        let mut ready = self.work.ready(!self.options.orders_device_tlbs);
        ready.retain(|&index| !self.is_silent(index));
        if ready.is_empty() {
            return false;
        }
        self.work.waited = 0;
        let index = ready[ground.chooser.pick(ready.len())];
        match self.work.outstanding.remove(index) {
            Command::Nothing => {}
            Command::Wait(wait) => self.complete(wait, ground),
            Command::Device(inv) => self.tell_device(inv, ground),
            Command::Tlb(scope) => {
                self.view.flush();
                let holder = Holder::Iommu(self.index);
                self.tlb.obey(&scope, holder, &mut ground.oracle);
                self.work.dropped.done(&Request::Own(scope));
            }
            configuration => {
                self.view.flush();
                self.caches.invalidate(&configuration);
            }
        }
        true
    }

    fn complete(&mut self, wait: Wait, ground: &mut Ground) {
        if let Some((at, data)) = wait.status {
            ground.memory.device_write32(at, data);
        }
        // IWC (11.4.9.5).
        self.registers.ics |= u32::from(wait.interrupt);
    }

    /// A device that is not there answers as little as one that is silent.
    fn is_silent(&self, index: usize) -> bool {
        let Command::Device(inv) = self.work.outstanding[index] else {
            return false;
        };
        self.devices
            .get(&inv.sid)
            .is_none_or(|device| device.silent)
    }

    /// Only silent devices are left. One that takes too long aborts every wait that was fetched (6.5.2.11); what was asked of it is
    /// forgotten.
    fn wait_for_devices(&mut self) {
        if self.registers.stopped() {
            return;
        }
        self.work.waited += 1;
        if self.work.waited <= self.options.device_timeout {
            return;
        }
        self.work.waited = 0;
        let ready = self.work.ready(!self.options.orders_device_tlbs);
        let Some(&index) = ready.first() else { return };
        if let Command::Device(inv) = self.work.outstanding.remove(index) {
            self.work.dropped.drop(inv.request());
            self.registers.device_timed_out(inv.sid);
            self.work.abort_waits();
        }
    }

    fn tell_device(&mut self, inv: DeviceInv, ground: &mut Ground) {
        let Some(device) = self.devices.get_mut(&inv.sid) else {
            return;
        };
        self.work.dropped.done(&inv.request());
        for (pasid, va) in device.invalidate(&inv, &mut ground.oracle) {
            // Without an answer, there is nothing to hold.
            let _ = self.request_translation(inv.sid, pasid, va, ground);
        }
    }
}
