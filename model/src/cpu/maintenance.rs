//! TLB maintenance instructions and barriers: what is issued stays in flight until a barrier.

use super::state::{Cpu, Domain, Issued};
use crate::oracle::{Holder, Span, Violation};
use crate::tlb::Scope;
use crate::world::World;
use alloc::vec::Vec;

impl World {
    /// A TLBI instruction, or INVLPGB. Nothing (a reserved encoding) covers nothing.
    pub(crate) fn tlbi(&mut self, cpu: usize, scope: Option<Scope>, broadcast: bool) {
        self.count_invalidation(cpu);
        self.cpus[cpu].fresh_tlbi = true;
        let Some(scope) = scope else { return };
        let targets = if broadcast {
            (0..self.cpus.len()).collect()
        } else {
            alloc::vec![cpu]
        };
        let issuer = &mut self.cpus[cpu];
        issuer.issued.push(Issued {
            scope,
            pending: targets,
            broadcast,
            barriers: if issuer.features.repeat_tlbi && broadcast {
                2
            } else {
                1
            },
            repeats: issuer.is_half_complete(),
            overtakes: issuer.stores.is_on_its_way(broadcast),
        });
        self.trickle();
    }

    /// A DSB. Only one for loads and stores completes invalidations, only within its domain, and only those that this CPU
    /// issued (Arm ARM D8.17.6 and K11.5.3).
    pub(crate) fn dsb(&mut self, cpu: usize, domain: Domain, stores_only: bool) {
        if !stores_only {
            self.overtake(cpu);
        }
        self.cpus[cpu].stores.show_own_walker();
        if domain > Domain::Non {
            self.drain_stores(cpu);
            self.ground.memory.publish();
        }
        if !stores_only {
            self.complete(cpu, domain);
        }
        self.count_barrier(domain, stores_only);
    }

    /// The CPU met an instruction that it does not have or may not execute.
    pub(super) fn undefined(&mut self, cpu: usize) {
        self.ground.oracle.report(Violation::Undefined { cpu });
    }

    /// Whatever is under way anywhere gets a chance to arrive.
    pub(crate) fn trickle(&mut self) {
        for cpu in 0..self.cpus.len() {
            let is_any = self.cpus[cpu].stores.is_on_its_way(true);
            if self.ground.chooser.now_if(is_any)
                && let Some((pa, value)) = self.cpus[cpu].stores.pop()
            {
                self.ground.memory.frames.arrive(pa, value);
            }
            let mut issued = core::mem::take(&mut self.cpus[cpu].issued);
            for invalidation in &mut issued {
                self.apply_some(invalidation);
            }
            self.cpus[cpu].issued = issued;
            self.trickle_flights(cpu);
        }
    }

    /// An instruction that invalidates was executed: by a task that stays where it is, if it is as it should be.
    pub(super) fn count_invalidation(&mut self, cpu: usize) {
        self.ground.oracle.counts.tlbis += 1;
        if self.demands_pins && !self.cpus[cpu].is_pinned() {
            self.ground.oracle.report(Violation::NotPinned { cpu });
        }
    }

    /// The task on this CPU goes elsewhere.
    pub(crate) fn leave(&mut self, cpu: usize) {
        if self.cpus[cpu].has_in_flight() || self.cpus[cpu].is_pinned() {
            self.ground
                .oracle
                .report(Violation::MigratedIncomplete { cpu });
        }
    }

    pub(super) fn complete(&mut self, cpu: usize, domain: Domain) {
        let again = core::mem::take(&mut self.cpus[cpu].fresh_tlbi);
        let mut left = Vec::new();
        for mut issued in core::mem::take(&mut self.cpus[cpu].issued) {
            let reaches = !issued.broadcast || domain > Domain::Non;
            let repeats = self.cpus[cpu].features.repeat_tlbi && issued.broadcast;
            if reaches && (again || !repeats) {
                issued.barriers -= 1;
            }
            if issued.barriers == 0 {
                self.apply(&issued);
            } else {
                left.push(issued);
            }
        }
        self.cpus[cpu].issued = left;
    }

    /// An invalidation that no barrier had ordered after the stores comes first, and what it dropped is walked again from what
    /// the walkers still see.
    pub(super) fn overtake(&mut self, cpu: usize) {
        let issued = self.cpus[cpu].issued.iter_mut();
        let early = issued.filter(|issued| issued.overtakes);
        let early = early
            .map(|issued| (issued.scope, core::mem::take(&mut issued.pending)))
            .collect();
        self.refetch(early);
    }

    /// These invalidations came before the stores that they were about: whatever each dropped on these CPUs is walked again.
    pub(super) fn refetch(&mut self, early: Vec<(Scope, Vec<usize>)>) {
        for (scope, targets) in early {
            for target in targets {
                let dropped = self.cpus[target].tlb.take(&scope);
                for entry in dropped {
                    if !self.ground.chooser.now() {
                        self.walk_and_fill(target, &entry.context, entry.va);
                    }
                }
            }
        }
    }

    fn apply_some(&mut self, issued: &mut Issued) {
        let (cpus, ground) = (&mut self.cpus, &mut self.ground);
        // The erratum leaves a broadcast unfinished as long as it may.
        let held_back = issued.barriers > 1;
        issued.pending.retain(|&target| {
            let arrives = ground.chooser.now() && !held_back;
            if arrives {
                let (tlb, holder) = (&mut cpus[target].tlb, Holder::Cpu(target));
                tlb.obey(&issued.scope, holder, &mut ground.oracle);
            }
            !arrives
        });
    }

    fn apply(&mut self, issued: &Issued) {
        for &target in &issued.pending {
            let (tlb, oracle) = (&mut self.cpus[target].tlb, &mut self.ground.oracle);
            tlb.obey(&issued.scope, Holder::Cpu(target), oracle);
        }
        if issued.broadcast {
            self.snoop(&issued.scope);
        }
    }

    /// A CPU that has issued an invalidation of this range and not completed it. Of an identifier it is told by what is loaded anywhere.
    pub(crate) fn cpu_owes(&self, range: &Span) -> Option<Holder> {
        let halves = self.cpus.iter().flat_map(Cpu::contexts);
        let of_range = halves.filter(|context| context.root.table == range.root);
        let tags: Vec<_> = of_range.map(|context| context.tag()).collect();
        let is_about = |scope: &Scope| {
            let mut tags = tags.iter();
            tags.any(|tag| scope.touches(tag, range.first, range.last))
        };
        let mut cpus = self.cpus.iter();
        let owing = cpus.position(|cpu| cpu.in_flight().any(|scope| is_about(&scope)));
        owing.map(Holder::Cpu)
    }

    pub(crate) fn drain_stores(&mut self, cpu: usize) {
        for (pa, value) in self.cpus[cpu].stores.drain() {
            self.ground.memory.frames.arrive(pa, value);
        }
    }

    fn count_barrier(&mut self, domain: Domain, stores_only: bool) {
        let counts = &mut self.ground.oracle.counts;
        match (domain, stores_only) {
            (Domain::Outer, true) => counts.queue_barriers += 1,
            (_, true) => counts.store_barriers += 1,
            (_, false) => counts.completion_barriers += 1,
        }
    }

    /// Gives the caches of a CPU the chance to do what nobody asked for.
    pub(crate) fn disturb(&mut self, cpu: usize) {
        self.cpus[cpu].evict_one(&mut self.ground.chooser);
        if self.ground.chooser.unasked(4) {
            self.speculate(cpu);
        }
    }
}
