//! One shootdown of several spaces, from the store barrier to the last answer: the way of every flush, each step taken for all of
//! them before the next.

use super::devices::Devices;
use super::reclaim::Record;
use crate::arch::{Arch, Change, Delivery, Issued, Reach};
use crate::cost::Cost;
use crate::cpu_set::CpuSet;
use crate::deadline::Deadline;
use crate::error::{Incomplete, Refused};
use crate::flush::{Depth, Flush};
use crate::mailbox::{Posted, Request};
use crate::platform::Platform;
use crate::shootdown::{Scope, Shootdown};
use crate::stats::Stats;

/// A space of the batch, with what was found out about it after the store barrier.
struct Found<'r, 'e, A: Arch, const WORDS: usize> {
    record: &'r Record<'e, A, WORDS>,
    scope: Scope<WORDS>,
    delivery: Delivery,
}

impl<A: Arch, const WORDS: usize> Found<'_, '_, A, WORDS> {
    fn issued(&self) -> Option<Issued> {
        let id = self.scope.id?;
        Some(Issued::User(id, self.record.flush))
    }

    fn change(&self) -> Option<Change> {
        Some(Change {
            space: self.record.space.id(),
            id: self.scope.id?,
            generation: self.scope.generation,
            flush: self.record.flush,
        })
    }

    fn is_broadcast(&self) -> bool {
        matches!(self.delivery, Delivery::Broadcast | Delivery::Both)
    }

    fn is_asked(&self) -> bool {
        matches!(self.delivery, Delivery::Asked | Delivery::Both)
    }

    /// Whether some CPU or a secondary TLB that snoops may hold anything.
    fn concerns_cpus(&self, only_members: bool) -> bool {
        let nobody = self.scope.cpus.is_empty() && !self.scope.secondaries.is_snooped();
        self.scope.id.is_some() && !(nobody && only_members)
    }
}

/// A batch that has been started: what is still outstanding of it.
pub(super) struct Started<'r, 'e, P: Platform, const WORDS: usize, const PLACES: usize> {
    engine: &'e Shootdown<P, WORDS>,
    records: &'r [Option<Record<'e, P::Arch, WORDS>>; PLACES],
    devices: Devices<PLACES>,
    posted: Option<Posted>,
    cpus: CpuSet<WORDS>,
    /// Broadcasts are not known to be complete.
    unproven: bool,
    deadline: Deadline,
    cost: Cost,
}

impl<'r, 'e, P: Platform, const WORDS: usize, const PLACES: usize>
    Started<'r, 'e, P, WORDS, PLACES>
{
    /// Steps 1 to 4. On return everything issued by instruction is complete, or known not to be.
    pub(super) fn new(
        engine: &'e Shootdown<P, WORDS>,
        records: &'r [Option<Record<'e, P::Arch, WORDS>>; PLACES],
    ) -> Result<Self, Refused> {
        let _pin = engine.platform().pin_cpu();
        engine.check_initiator()?;
        let mut cost = Cost::ZERO;
        engine.arch().store_barrier(Reach::Broadcast, &mut cost);
        let found = records.each_ref().map(|record| {
            let record = record.as_ref()?;
            let scope = engine.scope_of_change(record.space);
            let delivery = match scope.id {
                Some(id) => engine.arch().delivery(Some(id)),
                None => Delivery::Broadcast,
            };
            Some(Found {
                record,
                scope,
                delivery,
            })
        });
        let mut started = Self {
            engine,
            records,
            devices: Devices::new(records),
            posted: None,
            cpus: CpuSet::EMPTY,
            unproven: false,
            deadline: engine.deadline(),
            cost,
        };
        started.devices.start(engine, records, &mut started.cost);
        started.ask(&found);
        started.issue(&found);
        started.catch_up(&found);
        started
            .devices
            .start_snoopers(engine, records, &mut started.cost);
        Ok(started)
    }

    /// One round of interrupts for the CPUs that run any of the spaces.
    fn ask(&mut self, found: &[Option<Found<'_, 'e, P::Arch, WORDS>>; PLACES]) {
        let engine = self.engine;
        let mut targets = CpuSet::EMPTY;
        let mut tables = false;
        let mut requests = found.iter().flatten().filter(|found| found.is_asked());
        for found in requests.clone() {
            let Some(id) = found.scope.id else { continue };
            let depth = found.record.flush.depth();
            let asked = engine.to_ask(found.record.space, &found.scope, id, depth);
            let _irqs_off = engine.platform().irq_save();
            engine
                .arch()
                .was_asked_for(found.record.space.hardware(), asked.len());
            targets = targets.union(&asked);
            tables |= depth == Depth::Tables;
        }
        let request = match (requests.next().and_then(Found::change), requests.next()) {
            (Some(change), None) => Request::Space(change),
            _ => Request::Loaded { tables },
        };
        if let Some((posted, asked)) = engine.post(&targets, &request, &mut self.cost) {
            self.posted = Some(posted);
            self.cpus = asked;
        }
    }

    /// Instructions for all spaces, then one completion of each kind that is needed.
    fn issue(&mut self, found: &[Option<Found<'_, 'e, P::Arch, WORDS>>; PLACES]) {
        let engine = self.engine;
        let only_members = engine.arch().only_members_hold_entries();
        let concerned = |reach| {
            let all = found.iter().flatten();
            all.filter(move |found| {
                let is_one = found.is_broadcast() && found.scope.reach == reach;
                is_one && found.concerns_cpus(only_members)
            })
        };
        for reach in [Reach::Local, Reach::Broadcast] {
            let mut any = false;
            for issued in concerned(reach).filter_map(Found::issued) {
                engine.issue_only(&issued, reach, &mut self.cost);
                any = true;
            }
            if any {
                let issued = concerned(reach).filter_map(Found::issued);
                let complete = engine.arch().complete(issued, reach, &mut self.cost);
                self.unproven |= complete.is_err();
            }
        }
        for found in concerned(Reach::Broadcast) {
            if let (Some(id), Delivery::Broadcast) = (found.scope.id, found.delivery) {
                engine.ask_to_let_go(found.record.space, &found.scope, id, &mut self.cost);
            }
        }
    }

    /// This CPU's own entries, where CPUs are asked.
    fn catch_up(&mut self, found: &[Option<Found<'_, 'e, P::Arch, WORDS>>; PLACES]) {
        let engine = self.engine;
        for found in found.iter().flatten().filter(|found| found.is_asked()) {
            let Some(change) = found.change() else {
                continue;
            };
            if found.scope.cpus.contains(found.scope.me) {
                let _irqs_off = engine.platform().irq_save();
                engine
                    .arch()
                    .catch_up(found.scope.me, &change, &mut self.cost);
            }
            let is_both = found.delivery == Delivery::Both;
            if is_both && engine.all_reached(found.record.space, &found.scope, change.id) {
                engine
                    .arch()
                    .is_reached_everywhere(found.record.space.hardware());
            }
        }
    }

    /// Waits for everybody, or until the deadline.
    pub(super) fn wait(mut self) -> Result<Cost, Incomplete<WORDS>> {
        loop {
            if self.poll() {
                return match self.devices.error() {
                    None => Ok(self.cost),
                    Some(_) => Err(self.give_up()),
                };
            }
            if self.deadline.has_passed(self.engine.platform().now()) {
                return Err(self.give_up());
            }
            self.engine.platform().relax();
        }
    }

    /// One look at everybody; whether nobody is pending.
    fn poll(&mut self) -> bool {
        let engine = self.engine;
        engine.serve_mailbox();
        if let Some(posted) = self.posted {
            self.cpus
                .retain(|cpu| !engine.has_answered(posted, None, cpu));
        }
        if self.unproven {
            self.issue_again();
        }
        self.devices.poll(engine, self.records, &mut self.cost);
        self.cpus.is_empty() && !self.unproven && !self.devices.is_pending()
    }

    /// Where somebody else invalidates on the CPUs' behalf and has not done so: everything of each space, once more.
    fn issue_again(&mut self) {
        let engine = self.engine;
        let _pin = engine.platform().pin_cpu();
        let issued = || {
            let spaces = self.records.iter().flatten().map(|record| record.space);
            let ids = spaces.filter_map(|space| engine.arch().hardware_id(space.hardware()));
            ids.map(|id| Issued::User(id, Flush::all()))
        };
        let mut cost = self.cost;
        for issued in issued() {
            engine.issue_only(&issued, Reach::Broadcast, &mut cost);
        }
        let complete = engine.arch().complete_broadcast(issued(), &mut cost);
        self.unproven = complete.is_err();
        self.cost = cost;
    }

    fn give_up(&self) -> Incomplete<WORDS> {
        self.engine.count(&Stats {
            timeouts: 1,
            ..Stats::default()
        });
        let cpus = if self.unproven {
            self.engine.online_cpus()
        } else {
            self.cpus
        };
        Incomplete {
            cpus,
            secondaries: self.devices.unfinished(),
            error: self.devices.error(),
        }
    }
}
