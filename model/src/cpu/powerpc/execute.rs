//! What the instructions do.

use super::flight::Stage;
use super::operand::{self, Form};
use super::state::{Role, State};
use crate::oracle::Holder;
use crate::world::World;

impl World {
    /// The state of a POWER CPU.
    ///
    /// # Panics
    /// Where the CPU is of another architecture.
    pub(super) fn power(&mut self, cpu: usize) -> &mut State {
        let state = self.cpus[cpu].power.as_mut();
        state.expect("an instruction of POWER runs on a CPU of POWER")
    }

    /// TLBIE or TLBIEL.
    pub(super) fn invalidate(&mut self, cpu: usize, form: Form, rb: u64, rs: u64) {
        self.count_invalidation(cpu);
        match operand::decode(form, rb, rs, &self.power(cpu).features) {
            Ok(Some(scope)) => self.take_off(cpu, scope, form.broadcast),
            // Of another partition: nothing of this one's is bound to go.
            Ok(None) => {}
            Err(_) => self.undefined(cpu),
        }
    }

    /// Stores are visible to every walker, and what may be complete is (Power ISA 3.1B Book II 4.6.3, Book III 6.9.3.3).
    pub(super) fn ptesync(&mut self, cpu: usize) {
        let has_flights = self.power(cpu).has_in_flight();
        self.overtake_by_flights(cpu);
        self.drain_stores(cpu);
        self.perform_in_order(cpu);
        self.complete_flights(cpu);
        let counts = &mut self.ground.oracle.counts;
        match has_flights {
            true => counts.completion_barriers += 1,
            false => counts.store_barriers += 1,
        }
    }

    /// SYNC: accesses are performed in order, for CPUs and devices. Walkers are neither.
    pub(super) fn sync(&mut self, cpu: usize) {
        self.perform_in_order(cpu);
        self.ground.oracle.counts.store_barriers += 1;
    }

    fn perform_in_order(&mut self, cpu: usize) {
        let power = self.cpus[cpu].power.as_mut();
        if let Some(power) = power {
            let queue = &mut power.store_queue;
            queue.perform(Holder::Cpu(cpu), &mut self.ground, |_| true);
        }
        self.ground.memory.publish();
    }

    pub(super) fn eieio(&mut self, cpu: usize) {
        self.advance(cpu, Stage::Issued, Stage::Ordered);
    }

    /// TLBSYNC says nothing of what no EIEIO has ordered before it.
    pub(super) fn wait_for_tlbies(&mut self, cpu: usize) {
        if self.power(cpu).features.role == Role::GuestWithoutTlbie {
            return self.undefined(cpu);
        }
        self.advance(cpu, Stage::Ordered, Stage::Synchronised);
    }

    fn advance(&mut self, cpu: usize, from: Stage, to: Stage) {
        for flight in &mut self.power(cpu).flights {
            if flight.broadcast && flight.stage == from {
                flight.stage = to;
            }
        }
    }

    /// SLBIA with IH = 3 or 7: the ERAT holds nothing but user translations here, so that both are the same. It is done by the next
    /// context synchronisation (Power ISA 3.1B Book III 12.1).
    pub(super) fn slbia(&mut self, cpu: usize) {
        self.power(cpu).erat_going = true;
    }

    /// ISYNC. What a TLBIEL under way has not dropped yet is fetched again.
    pub(super) fn isync(&mut self, cpu: usize) {
        self.ground.oracle.counts.context_synchronisations += 1;
        let power = self.power(cpu);
        if core::mem::take(&mut power.erat_going) {
            let State { flights, erat, .. } = power;
            erat.retain(|entry| {
                let mut scopes = flights.iter().map(|flight| flight.scope);
                scopes.any(|scope| scope.covers(entry))
            });
        }
    }

    pub(super) fn cp_abort(&mut self, cpu: usize) {
        self.power(cpu).copied = None;
    }
}
