//! One shootdown of several spaces, from the store barrier to the last answer: the way of every flush, each step taken for all of
//! them before the next.

use super::devices::Devices;
use super::reclaim::Record;
use super::round::Round;
use crate::arch::{Arch, Issued, Reach};
use crate::cost::Cost;
use crate::error::{Incomplete, Refused};
use crate::flush::Flush;
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::ticket::CpuWaits;
use core::task::Poll;

/// A batch that has been started: what is still outstanding of it.
pub(super) struct Started<'e, P: Platform, const WORDS: usize, const PLACES: usize> {
    cpus: CpuWaits<'e, P, WORDS>,
    devices: Devices<PLACES>,
    /// Broadcasts are not known to be complete.
    unproven: bool,
    cost: Cost,
}

/// The spaces of a batch and what changed in them.
type Records<'e, P, const WORDS: usize, const PLACES: usize> =
    [Option<Record<'e, <P as Platform>::Arch, WORDS>>; PLACES];

impl<'e, P: Platform, const WORDS: usize, const PLACES: usize> Started<'e, P, WORDS, PLACES> {
    /// Steps 1 to 4. On return everything issued by instruction is complete, or known not to be.
    pub(super) fn new(
        engine: &'e Shootdown<P, WORDS>,
        records: &Records<'e, P, WORDS, PLACES>,
    ) -> Result<Self, Refused> {
        let _pin = engine.platform().pin_cpu();
        engine.check_initiator()?;
        let mut cost = Cost::ZERO;
        engine.arch().store_barrier(Reach::Broadcast, &mut cost);
        let round = Round::new(engine, records);
        let mut devices = Devices::new(records);
        devices.start(engine, records, &mut cost);
        let posted = round.ask(&mut cost);
        let unproven = round.issue(&mut cost).is_err();
        round.catch_up(&mut cost);
        devices.start_snoopers(engine, records, &mut cost);
        Ok(Self {
            cpus: CpuWaits::new(engine, posted),
            devices,
            unproven,
            cost,
        })
    }

    /// One look at everybody. Ready once nobody is pending.
    pub(super) fn poll(
        &mut self,
        records: &Records<'e, P, WORDS, PLACES>,
    ) -> Poll<Result<(), Incomplete<WORDS>>> {
        self.cpus.poll();
        let engine = self.cpus.engine;
        if self.unproven {
            self.issue_again(records);
        }
        self.devices.poll(engine, records, &mut self.cost);
        if self.cpus.is_pending() || self.unproven || self.devices.is_pending() {
            return Poll::Pending;
        }
        match self.devices.error() {
            Some(_) => Poll::Ready(Err(self.incomplete())),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Where somebody else invalidates on the CPUs' behalf and has not done so: everything of each space, once more.
    fn issue_again(&mut self, records: &Records<'e, P, WORDS, PLACES>) {
        let engine = self.cpus.engine;
        let _pin = engine.platform().pin_cpu();
        let issued = || {
            let spaces = records.iter().flatten().map(|record| record.space);
            let ids = spaces.filter_map(|space| engine.arch().hardware_id(space.hardware()));
            ids.map(|id| Issued::User(id, Flush::all()))
        };
        for issued in issued() {
            engine.issue_only(&issued, Reach::Broadcast, &mut self.cost);
        }
        let complete = engine.arch().complete_broadcast(issued(), &mut self.cost);
        self.unproven = complete.is_err();
    }

    pub(super) fn incomplete(&self) -> Incomplete<WORDS> {
        let cpus = if self.unproven {
            self.cpus.engine.online_cpus()
        } else {
            self.cpus.unanswered()
        };
        Incomplete {
            cpus,
            secondaries: self.devices.unfinished(),
            error: self.devices.error(),
        }
    }

    pub(super) fn escalate(&mut self) {
        self.renew();
        self.cpus.press(&mut self.cost);
        self.devices.widen(&mut self.cost);
    }

    pub(super) fn renew(&mut self) {
        self.cpus.renew();
    }

    pub(super) fn is_late(&mut self) -> bool {
        self.cpus.are_late()
    }

    pub(super) fn give_up(&mut self) {
        self.cpus.give_up();
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }
}
