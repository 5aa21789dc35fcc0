//! What the instructions do.

use super::operand::{self, Wrong};
use super::state::{PGE, State};
use crate::cpu::Domain;
use crate::oracle::{Holder, Violation};
use crate::tlb::{Scope, X86Scope};
use crate::world::World;

/// CR3, bit 63: what is cached under the PCID stays (Intel SDM Vol 3A 4.10.4.1).
const NO_FLUSH: u64 = 1 << 63;

impl World {
    /// Runs `f` on the registers of an x86-64 CPU.
    ///
    /// # Panics
    /// Where the CPU is of another architecture.
    pub(super) fn x86(&mut self, cpu: usize) -> &mut State {
        let state = self.cpus[cpu].x86.as_mut();
        state.expect("an instruction of x86-64 runs on a CPU of x86-64")
    }

    /// MFENCE.
    pub(super) fn mfence(&mut self, cpu: usize) {
        self.serialise(cpu);
        self.ground.oracle.counts.store_barriers += 1;
    }

    /// Earlier stores are visible before anything later starts (Intel SDM Vol 3A 8.3).
    fn serialise(&mut self, cpu: usize) {
        self.drain_stores(cpu);
        self.ground.memory.publish();
    }

    pub(super) fn invlpg(&mut self, cpu: usize, va: u64) {
        let cr3 = self.x86(cpu).cr3;
        let pcid = self.x86(cpu).pcid_of(cr3);
        self.invalidate_here(cpu, operand::invlpg(pcid, va));
    }

    pub(super) fn invpcid(&mut self, cpu: usize, kind: u64, descriptor: [u64; 2]) {
        let state = self.x86(cpu);
        let has_it = state.features.invpcid;
        match operand::invpcid(kind, descriptor, state.uses_pcids()) {
            Ok(scope) if has_it => self.invalidate_here(cpu, scope),
            _ => self.undefined(cpu),
        }
    }

    /// MOV to CR3 by the library, to invalidate.
    pub(super) fn invalidate_by_cr3(&mut self, cpu: usize, value: u64) {
        self.count_invalidation(cpu);
        let pcid = self.x86(cpu).pcid_of(value);
        if value & NO_FLUSH == 0 {
            self.obey(cpu, operand::space(Some(pcid)));
        }
        self.load_cr3(cpu, value);
    }

    /// MOV to CR3.
    pub(super) fn load_cr3(&mut self, cpu: usize, value: u64) {
        let state = self.x86(cpu);
        if value & NO_FLUSH != 0 && !state.uses_pcids() {
            return self.undefined(cpu);
        }
        state.cr3 = value & !NO_FLUSH;
        let scope = operand::space(Some(state.pcid_of(value)));
        self.serialise(cpu);
        if value & NO_FLUSH == 0 {
            self.cpus[cpu].tlb.invalidate(&Scope::X86(scope));
        }
        let kernel = self.cpus[cpu].ttbr1;
        let (root, pcid) = self.x86(cpu).loaded();
        if root != 0 && Some(root) != kernel {
            self.judge_identifier(cpu, pcid, root);
        }
    }

    /// MOV to CR4. Of its bits the library has leave to change PGE, there and back.
    pub(super) fn load_cr4(&mut self, cpu: usize, value: u64) {
        let state = self.x86(cpu);
        let changed = state.cr4 ^ value;
        state.cr4 = value;
        if changed & !PGE != 0 {
            return self.undefined(cpu);
        }
        self.serialise(cpu);
        if changed != 0 {
            self.obey(cpu, operand::EVERYTHING);
        }
        if changed & value != 0 {
            self.count_invalidation(cpu);
        }
    }

    /// INVLPGB: under way until this CPU's TLBSYNC.
    pub(super) fn invlpgb(&mut self, cpu: usize, rax: u64, ecx: u32, edx: u32) {
        let features = self.x86(cpu).features;
        match operand::invlpgb(rax, ecx, edx, &features) {
            Ok(scope) => self.tlbi(cpu, scope.map(Scope::X86), true),
            Err(Wrong::ReachesGuests(scope)) => {
                let oracle = &mut self.ground.oracle;
                oracle.report(Violation::ReachedGuests { cpu });
                self.tlbi(cpu, Some(Scope::X86(scope)), true);
            }
            Err(Wrong::Faults) => self.undefined(cpu),
        }
    }

    pub(super) fn tlbsync(&mut self, cpu: usize) {
        if self.x86(cpu).features.invlpgb.is_none() {
            return self.undefined(cpu);
        }
        self.overtake(cpu);
        self.complete(cpu, Domain::Inner);
        self.ground.oracle.counts.completion_barriers += 1;
    }

    fn invalidate_here(&mut self, cpu: usize, scope: X86Scope) {
        self.count_invalidation(cpu);
        self.serialise(cpu);
        self.obey(cpu, scope);
    }

    /// An instruction of the library's removes entries of its own CPU.
    fn obey(&mut self, cpu: usize, scope: X86Scope) {
        let (tlb, oracle) = (&mut self.cpus[cpu].tlb, &mut self.ground.oracle);
        tlb.obey(&Scope::X86(scope), Holder::Cpu(cpu), oracle);
    }
}
