//! What CPUs run, and how they use what is mapped.

use super::kernel::{CPUS, Does, Kernel, PAGES};
use super::step::Next;
use crate::random_kernel::{Machine, Process};
use core::mem::replace;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;

impl<M: Machine> Kernel<M> {
    pub(super) fn is_amid_a_switch(&self) -> bool {
        let mut cpus = self.cpus.iter();
        cpus.any(|does| matches!(does, Does::Switches { .. }))
    }

    pub(super) fn runs(&self, cpu: usize) -> Option<Next> {
        match self.cpus[cpu] {
            Does::Runs(next) => Some(next),
            _ => None,
        }
    }

    fn process_of(&self, next: Next) -> &Process<M::Arch> {
        match next {
            Next::Neighbour => &self.neighbour,
            _ => &self.process,
        }
    }

    pub(super) fn can_go_over(&self, cpu: usize, next: Next) -> bool {
        let is_there = self.is_alive() || next != Next::Process;
        match self.runs(cpu) {
            None => false,
            Some(now) if now == next => false,
            Some(now) if next == Next::Lazy => now == Next::Process,
            Some(_) => is_there,
        }
    }

    pub(super) fn go_over(&mut self, cpu: usize, next: Next) {
        if self.runs(cpu) == Some(next) {
            return;
        }
        match next {
            Next::Kernel => self.rig.switch_to_kernel(cpu),
            Next::Lazy => self.rig.enter_lazy(cpu),
            Next::Process | Next::Neighbour => self.rig.switch(cpu, self.process_of(next)),
        }
        self.cpus[cpu] = Does::Runs(next);
    }

    /// CPUs beyond the two run the process until it has what only many get (on x86-64 an identifier that broadcasts reach), and leave it.
    pub(super) fn crowd(&self) {
        let others = CPUS..self.rig.engine().online_cpus().len();
        for cpu in others.clone() {
            self.rig.switch(cpu, &self.process);
        }
        if !others.is_empty() {
            let space = self.process.space;
            let flushed = self.as_cpu(0, |rig| rig.engine().flush(space, Flush::all()));
            flushed.unwrap();
        }
        others.for_each(|cpu| self.rig.switch_to_kernel(cpu));
    }

    pub(super) fn begin_switch(&mut self, cpu: usize) {
        let switching = self.rig.begin_switch(cpu, &self.process);
        self.cpus[cpu] = Does::Switches {
            switching,
            loaded: false,
        };
    }

    pub(super) fn load_root(&mut self, cpu: usize) {
        if let Does::Switches { switching, loaded } = &mut self.cpus[cpu] {
            self.rig.load(switching, &self.process);
            *loaded = true;
        }
    }

    pub(super) fn end_switch(&mut self, cpu: usize) {
        match replace(&mut self.cpus[cpu], Does::Moves) {
            Does::Switches { switching, .. } => {
                self.rig.end_switch(switching);
                self.cpus[cpu] = Does::Runs(Next::Process);
            }
            does => self.cpus[cpu] = does,
        }
    }

    /// The task that waits goes to the other CPU, with all its tickets.
    pub(super) fn migrate(&mut self) {
        let other = CPUS - 1 - self.me;
        self.rig.engine().before_migration();
        self.rig.platform().migrate(other);
        let from = core::mem::replace(&mut self.me, other);
        self.hand_over(from);
    }

    /// A CPU reads both pages, and finds what the table says wherever no change is under way.
    pub(super) fn touch(&mut self, cpu: usize) {
        for page in 0..PAGES {
            let va = self.va(page);
            match self.runs(cpu) {
                Some(Next::Process) => {
                    let read = self.rig.cpu(cpu).read(va).is_ok();
                    self.expect(page, read, self.pages[page].is_mapped(), "CPU", cpu);
                }
                Some(Next::Neighbour) => {
                    let read = self.rig.cpu(cpu).read(va);
                    assert!(read.is_ok(), "CPU {cpu}, page {page} of the neighbour");
                }
                _ => {}
            }
        }
    }

    pub(super) fn expect(&self, page: usize, done: bool, allowed: bool, who: &str, which: usize) {
        if self.pages[page].is_settled() {
            assert_eq!(done, allowed, "{who} {which}, page {page}");
        }
    }
}
