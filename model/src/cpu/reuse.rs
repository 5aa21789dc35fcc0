//! An identifier comes to an address space: nobody may hold anything of its last owner's under it.

use crate::oracle::{Holder, Violation};
use crate::world::World;
use alloc::vec::Vec;

impl World {
    /// A CPU has loaded a process's root under an ASID or a PCID, and what was to go with that is gone. Other CPUs are asked when they load it:
    /// they may hold what they like of an identifier under which they run nothing (Arm ARM D8.13; Intel SDM Vol 3A 4.10.1).
    pub(super) fn judge_identifier(&mut self, cpu: usize, id: u32, root: u64) {
        if self.cpus[cpu].holds_of_another(id, root, &self.ground.memory) {
            self.report_dirty([Holder::Cpu(cpu)], id);
        }
    }

    /// The same of a PID. It is everybody's: whoever holds something under it uses it (Power ISA 3.1B Book III 6.7.10).
    pub(super) fn judge_pid(&mut self, pid: u32, root: u64) {
        let memory = &self.ground.memory;
        let cpus = self.cpus.iter().enumerate();
        let cpus = cpus.filter(|(_, cpu)| cpu.holds_of_pid(pid, root, memory));
        let links = self.links.iter();
        let links = links.filter_map(|link| link.holds_of_pid(pid, root, memory));
        let all: Vec<_> = cpus.map(|(cpu, _)| Holder::Cpu(cpu)).chain(links).collect();
        self.report_dirty(all, pid);
    }

    fn report_dirty(&mut self, holders: impl IntoIterator<Item = Holder>, id: u32) {
        for holder in holders {
            let dirty = Violation::ReusedDirty { holder, id };
            self.ground.oracle.report(dirty);
        }
    }
}
