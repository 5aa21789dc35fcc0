//! The CPUs' side of a batch: what was found out after the store barrier, who is asked, what is issued.

use super::reclaim::Record;
use crate::arch::{Arch, Change, Delivery, Issued, Reach, Unproven};
use crate::cost::Cost;
use crate::cpu_set::CpuSet;
use crate::defects::Defect;
use crate::mailbox::{Posted, Request};
use crate::platform::Platform;
use crate::shootdown::{Scope, Shootdown};
use crate::space_id::SpaceId;

/// A change of the batch, with what was found out about its space.
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
        let id = self.scope.id?;
        let (space, flush) = (self.record.space.id(), self.record.flush);
        Some(Change::new(space, id, self.scope.generation, flush))
    }

    fn space_id(&self) -> SpaceId {
        self.record.space.id()
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

/// The changes of a batch, after the store barrier.
pub(super) struct Round<'r, 'e, P: Platform, const WORDS: usize, const PLACES: usize> {
    engine: &'e Shootdown<P, WORDS>,
    found: [Option<Found<'r, 'e, P::Arch, WORDS>>; PLACES],
}

impl<'r, 'e, P: Platform, const WORDS: usize, const PLACES: usize> Round<'r, 'e, P, WORDS, PLACES> {
    /// Step 2 for each of them. Called pinned, after the barrier.
    pub(super) fn new(
        engine: &'e Shootdown<P, WORDS>,
        records: &'r [Option<Record<'e, P::Arch, WORDS>>; PLACES],
    ) -> Self {
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
        Self { engine, found }
    }

    fn found(&self) -> impl Iterator<Item = &Found<'r, 'e, P::Arch, WORDS>> + Clone {
        self.found.iter().flatten()
    }

    /// One round of interrupts for the CPUs that run any of the spaces. Where they run one and the same, the request names its pages.
    pub(super) fn ask(&self, cost: &mut Cost) -> Option<(Posted, CpuSet<WORDS>)> {
        let engine = self.engine;
        let mut targets = CpuSet::EMPTY;
        let mut request: Option<Request> = None;
        let asked = self.found().filter(|found| found.is_asked());
        for one in spaces(asked.clone(), Found::space_id) {
            let changes = asked
                .clone()
                .filter(|other| other.space_id() == one.space_id());
            let changes = changes.filter_map(Found::change);
            let Some(change) = changes.reduce(|all, next| all.merge(&next)) else {
                continue;
            };
            let space = one.record.space;
            let asked = engine.to_ask(space, &one.scope, change.id, change.flush.depth());
            let _irqs_off = engine.platform().irq_save();
            engine.arch().was_asked_for(space.hardware(), asked.len());
            if !asked.is_empty() {
                targets = targets.union(&asked);
                request = Some(match request {
                    None => Request::Space(change),
                    Some(others) => others.with(&change),
                });
            }
        }
        engine.post(&targets, &request?, cost)
    }

    /// Instructions for all spaces, then one completion of each kind that is needed.
    pub(super) fn issue(&self, cost: &mut Cost) -> Result<(), Unproven> {
        let engine = self.engine;
        let only_members = engine.arch().only_members_hold_entries();
        let concerned = |reach| {
            self.found().filter(move |found| {
                let is_one = found.is_broadcast() && found.scope.reach == reach;
                is_one && found.concerns_cpus(only_members)
            })
        };
        let mut proven = Ok(());
        for reach in [Reach::Local, Reach::Broadcast] {
            let issued = concerned(reach).filter_map(Found::issued);
            for one in issued.clone() {
                if !Defect::BatchIssuedWhenAdded.is_put_back() {
                    engine.issue_only(&one, reach, cost);
                }
            }
            if issued.clone().next().is_some() {
                proven = proven.and(engine.arch().complete(issued, reach, cost));
            }
        }
        for one in spaces(concerned(Reach::Broadcast), Found::space_id) {
            if let (Some(id), Delivery::Broadcast) = (one.scope.id, one.delivery) {
                engine.ask_to_let_go(one.record.space, &one.scope, id, cost);
            }
        }
        proven
    }

    /// This CPU's own entries, where CPUs are asked.
    pub(super) fn catch_up(&self, cost: &mut Cost) {
        let engine = self.engine;
        for found in self.found().filter(|found| found.is_asked()) {
            let Some(change) = found.change() else {
                continue;
            };
            let scope = &found.scope;
            if scope.cpus.contains(scope.me) {
                let _irqs_off = engine.platform().irq_save();
                engine.arch().catch_up(scope.me, &change, cost);
            }
            let space = found.record.space;
            let is_both = found.delivery == Delivery::Both;
            if is_both && engine.all_reached(space, scope, change.id) {
                engine.arch().is_reached_everywhere(space.hardware());
            }
        }
    }
}

/// The first of the changes of each space.
fn spaces<F: Copy>(
    changes: impl Iterator<Item = F> + Clone,
    space_of: impl Fn(F) -> SpaceId,
) -> impl Iterator<Item = F> {
    let all = changes.clone().enumerate();
    all.filter_map(move |(index, one)| {
        let mut earlier = changes.clone().take(index);
        let is_first = !earlier.any(|other| space_of(other) == space_of(one));
        is_first.then_some(one)
    })
}
