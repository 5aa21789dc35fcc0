//! The command queue as it is consumed (3.5, 4.7.3, 7.1).

use super::command::{self, AtcInv, Command};
use super::registers::{CommandError, MSI_CMDQ_ABT};
use super::smmu::Smmu;
use crate::ground::Ground;
use crate::memory::Memory;
use crate::oracle::{Holder, Span, Violation};
use crate::requests::{Request, owing};

impl Smmu {
    /// Consumes at most one command, or does one that was consumed before.
    pub(super) fn work_on_queue(&mut self, ground: &mut Ground) {
        if self.work.frozen {
            return;
        }
        if ground.chooser.now_if(!self.work.outstanding.is_empty()) {
            self.do_one(ground);
        }
        if !self.registers.commands_enabled() || self.registers.command_error_active() {
            return;
        }
        if self.fill() == 0 {
            return;
        }
        let Some((w0, w1)) = self.fetch(ground) else {
            self.stop(CommandError::Abort, ground);
            return;
        };
        match command::decode(w0, w1, &self.options, self.registers.e2h()) {
            Err(command::Illegal) => self.stop(CommandError::Illegal, ground),
            Ok(Command::Sync { message }) => self.sync(message, ground),
            Ok(command) => {
                ground.oracle.counts.commands += 1;
                self.work.outstanding.push(command);
                self.consume();
            }
        }
    }

    /// Nothing is left to fetch, or nothing may be.
    pub(super) fn is_at_rest(&self) -> bool {
        let stopped = self.work.frozen || self.registers.command_error_active();
        stopped || self.fill() == 0
    }

    /// Looks at a new producer index.
    pub(super) fn check_producer(&self, ground: &mut Ground) {
        if self.fill() > 1 << self.registers.cmdq_log2() {
            ground
                .oracle
                .report(Violation::QueueOverrun { iommu: self.index });
        }
    }

    /// Entries between CONS and PROD: indices are modulo twice the size, the upper bit being the wrap (3.5.1).
    fn fill(&self) -> u32 {
        let wrap = (2 << self.registers.cmdq_log2()) - 1;
        self.registers.prod.wrapping_sub(self.registers.cons) & wrap
    }

    fn fetch(&mut self, ground: &Ground) -> Option<(u64, u64)> {
        if core::mem::take(&mut self.work.abort_next) {
            return None;
        }
        self.words(0, &ground.memory)
    }

    /// The entry so many places behind CONS.
    fn words(&self, behind: u32, memory: &Memory) -> Option<(u64, u64)> {
        let index = (self.registers.cons + behind) & ((1 << self.registers.cmdq_log2()) - 1);
        let at = self.registers.cmdq_address() + u64::from(index) * 16;
        Some((memory.device_read(at)?, memory.device_read(at + 8)?))
    }

    /// What the entry asks for, whether it was refused or not.
    fn waiting(&self, behind: u32, memory: &Memory) -> Option<Request> {
        let (w0, w1) = self.words(behind, memory)?;
        let command = command::decode(w0, w1, &self.options, self.registers.e2h()).ok()?;
        command.request()
    }

    /// The command that is refused is software's to see to.
    fn stop(&mut self, error: CommandError, ground: &Ground) {
        if let Some(request) = self.waiting(0, &ground.memory) {
            self.work.dropped.drop(request);
        }
        self.registers.stop(error);
    }

    /// Something of this range was asked for and has not been done.
    pub(crate) fn owes(&self, range: &Span, memory: &Memory) -> Option<Holder> {
        let queued = if self.registers.commands_enabled() {
            self.fill()
        } else {
            0
        };
        let queued = (0..queued).filter_map(|behind| self.waiting(behind, memory));
        let outstanding = self.work.outstanding.iter().filter_map(Command::request);
        let unanswered = self.work.unanswered.iter().map(AtcInv::request);
        let all = queued.chain(outstanding).chain(unanswered);
        let all = all.chain(self.work.dropped.iter());
        let device_tlb = |device| self.devices.get(&device).map(|device| &device.atc);
        owing(all, (self.index, &self.tlb), device_tlb, range)
    }

    fn consume(&mut self) {
        let wrap = (2 << self.registers.cmdq_log2()) - 1;
        self.registers.cons = (self.registers.cons + 1) & wrap;
    }

    /// A CMD_SYNC is consumed when everything before it has been done and answered.
    fn sync(&mut self, message: Option<(u64, u32)>, ground: &mut Ground) {
        if !self.work.outstanding.is_empty() {
            self.do_one(ground);
            return;
        }
        if !self.devices_answered(ground) {
            return;
        }
        ground.oracle.counts.syncs += 1;
        self.work.failures = 0;
        self.consume();
        if let Some((at, data)) = message
            && !ground.memory.device_write32(at, data)
        {
            self.registers.raise(MSI_CMDQ_ABT);
        }
    }

    /// Waits for devices; after the time-out the CMD_SYNC fails, as often as the options say, and is then let through although
    /// nothing was invalidated (4.7.3).
    fn devices_answered(&mut self, ground: &mut Ground) -> bool {
        for inv in core::mem::take(&mut self.work.unanswered) {
            self.tell_device(inv, ground);
        }
        if self.work.unanswered.is_empty() {
            self.work.waited = 0;
            return true;
        }
        self.work.waited += 1;
        if self.work.waited <= self.options.atc_timeout {
            return false;
        }
        self.work.waited = 0;
        if self.work.failures < self.options.atc_failures {
            self.work.failures += 1;
            self.registers.stop(CommandError::AtcInvSync);
            return false;
        }
        for inv in self.work.unanswered.drain(..) {
            self.work.dropped.drop(inv.request());
        }
        true
    }

    /// Does one of the consumed commands: any of them may be next.
    fn do_one(&mut self, ground: &mut Ground) {
        if self.work.outstanding.is_empty() {
            return;
        }
        let index = ground.chooser.pick(self.work.outstanding.len());
        match self.work.outstanding.remove(index) {
            Command::Tlbi(scope) => {
                let holder = Holder::Iommu(self.index);
                self.tlb.obey(&scope, holder, &mut ground.oracle);
                self.work.dropped.done(&Request::Own(scope));
            }
            Command::Atc(inv) => self.tell_device(inv, ground),
            Command::Nothing | Command::Sync { .. } => {}
            configuration => self.caches.invalidate(&configuration),
        }
    }

    fn tell_device(&mut self, inv: AtcInv, ground: &mut Ground) {
        let Some(device) = self.devices.get_mut(&inv.sid) else {
            // No such device: the root complex answers UR, which completes the command (3.9.1.5).
            return;
        };
        if device.silent {
            self.work.unanswered.push(inv);
            return;
        }
        let dropped = device.invalidate(&inv, &mut ground.oracle);
        self.work.dropped.done(&inv.request());
        for (ssid, va) in dropped {
            self.request_translation(inv.sid, ssid, va, ground);
        }
    }
}
