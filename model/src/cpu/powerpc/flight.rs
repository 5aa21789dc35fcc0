//! Invalidations between their issue and the barriers that complete them.

use crate::cpu::Cpu;
use crate::ground::Ground;
use crate::oracle::Holder;
use crate::tlb::{PowerScope, Reach, Scope};
use crate::world::World;
use alloc::vec::Vec;

/// How far a TLBIE has come: EIEIO orders it before the TLBSYNC, and TLBSYNC before the PTESYNC (Power ISA 3.1B Book III 6.9.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Issued,
    Ordered,
    Synchronised,
}

/// An invalidation that its CPU has issued and not completed.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) scope: PowerScope,
    pub(super) broadcast: bool,
    pub(super) stage: Stage,
    /// The CPUs whose TLB it has not reached.
    pending: Vec<usize>,
    /// Stores were on their way when it was issued: it may have been performed before they arrived.
    overtakes: bool,
    /// A PTESYNC has followed: what comes now may be the second half of a workaround.
    settled: bool,
    /// The workaround for the ERAT followed.
    clears_erat: bool,
    /// The workaround for the store queues followed.
    drains_queues: bool,
}

/// What goes beside the TLB's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) erat: bool,
    /// Stores that were translated are performed first, and COPYs are forgotten.
    pub(super) stores: bool,
}

impl Flight {
    /// A later TLBIE is the second half of a workaround: of PID 0, everything or the same page, for the ERAT; of the same PID for the store
    /// queues, whatever its address (as Linux has them: it repeats the last page of a range).
    fn followed_by(&mut self, scope: &PowerScope) {
        if self.settled && self.broadcast {
            let covers = scope.reach == Reach::Everywhere || scope.reach == self.scope.reach;
            self.clears_erat |= scope.is_about(0) && covers;
            self.drains_queues |= scope.pid.is_none() || scope.pid == self.scope.pid;
        }
    }

    /// What it does on a CPU whose TLB it reaches. TLBIEL leaves the ERAT but for one page, and is in order with the CPU's own stores.
    fn beside(&self, cpu: &Cpu) -> Beside {
        let defects = |has: fn(&super::CpuFeatures) -> bool| {
            cpu.power.as_ref().is_some_and(|power| has(&power.features))
        };
        let is_page = matches!(self.scope.reach, Reach::Pages { .. });
        Beside {
            erat: if self.broadcast {
                !defects(|features| features.erat_defect)
            } else {
                is_page
            },
            stores: self.broadcast && !defects(|features| features.store_queue_defect),
        }
    }
}

impl Cpu {
    /// An invalidation arrives at the CPU of this number.
    pub(super) fn strike(
        &mut self,
        index: usize,
        scope: &PowerScope,
        beside: Beside,
        ground: &mut Ground,
    ) {
        let holder = Holder::Cpu(index);
        self.tlb
            .obey(&Scope::Power(*scope), holder, &mut ground.oracle);
        if let Some(power) = &mut self.power {
            power.forget_roots(scope);
        }
        self.strike_beside(index, scope, beside, ground);
    }

    fn strike_beside(
        &mut self,
        index: usize,
        scope: &PowerScope,
        beside: Beside,
        ground: &mut Ground,
    ) {
        let Some(power) = &mut self.power else { return };
        if beside.stores {
            let queue = &mut power.store_queue;
            queue.perform(Holder::Cpu(index), ground, |entry| scope.covers(entry));
            power.copied = power.copied.filter(|entry| !scope.covers(entry));
        }
        if beside.erat {
            power.erat.invalidate(&Scope::Power(*scope));
        }
    }
}

impl World {
    /// TLBIE or TLBIEL was executed.
    pub(super) fn take_off(&mut self, cpu: usize, scope: PowerScope, broadcast: bool) {
        let targets = if broadcast {
            (0..self.cpus.len()).collect()
        } else {
            alloc::vec![cpu]
        };
        let flight = Flight {
            scope,
            broadcast,
            stage: Stage::Issued,
            pending: targets,
            overtakes: self.cpus[cpu].stores.is_on_its_way(true),
            settled: false,
            clears_erat: false,
            drains_queues: false,
        };
        let flights = &mut self.power(cpu).flights;
        if broadcast {
            flights
                .iter_mut()
                .for_each(|earlier| earlier.followed_by(&scope));
        }
        flights.push(flight);
        self.trickle();
    }

    /// What is under way may arrive.
    pub(in crate::cpu) fn trickle_flights(&mut self, cpu: usize) {
        let Some(power) = &mut self.cpus[cpu].power else {
            return;
        };
        let mut flights = core::mem::take(&mut power.flights);
        // Slowly, so that invalidations find something there.
        let is_any = power.store_queue.entries().next().is_some();
        if self.ground.chooser.seldom_if(is_any) {
            let holder = Holder::Cpu(cpu);
            power.store_queue.perform_oldest(holder, &mut self.ground);
        }
        for flight in &mut flights {
            self.land_some(flight);
        }
        self.power(cpu).flights = flights;
    }

    fn land_some(&mut self, flight: &mut Flight) {
        for target in core::mem::take(&mut flight.pending) {
            if self.ground.chooser.now() {
                self.land(flight, target);
            } else {
                flight.pending.push(target);
            }
        }
    }

    fn land(&mut self, flight: &Flight, target: usize) {
        let cpu = &mut self.cpus[target];
        let beside = flight.beside(cpu);
        cpu.strike(target, &flight.scope, beside, &mut self.ground);
    }

    /// PTESYNC, as far as invalidations are concerned.
    pub(super) fn complete_flights(&mut self, cpu: usize) {
        let flights = core::mem::take(&mut self.power(cpu).flights);
        let (done, mut left): (Vec<_>, Vec<_>) = flights
            .into_iter()
            .partition(|flight| !flight.broadcast || flight.stage == Stage::Synchronised);
        for flight in &done {
            self.finish(flight);
        }
        left.iter_mut().for_each(|flight| flight.settled = true);
        self.power(cpu).flights = left;
    }

    fn finish(&mut self, flight: &Flight) {
        for &target in &flight.pending {
            self.land(flight, target);
        }
        if !flight.broadcast {
            return;
        }
        let repaired = Beside {
            erat: flight.clears_erat,
            stores: flight.drains_queues,
        };
        for index in 0..self.cpus.len() {
            let cpu = &mut self.cpus[index];
            cpu.strike_beside(index, &flight.scope, repaired, &mut self.ground);
        }
        self.snoop(&Scope::Power(flight.scope));
    }

    /// What was issued while stores were on their way came first, and the walkers have fetched the old entries again.
    pub(super) fn overtake_by_flights(&mut self, cpu: usize) {
        let flights = &mut self.power(cpu).flights;
        let early = flights.iter_mut().filter(|flight| flight.overtakes);
        let early = early
            .map(|flight| {
                (
                    Scope::Power(flight.scope),
                    core::mem::take(&mut flight.pending),
                )
            })
            .collect();
        self.refetch(early);
    }
}
