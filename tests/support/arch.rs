//! An architecture as simple as can be, with or without broadcasts. What is issued happens at the completion, and not before.

use super::journal::Event;
use super::machine::KERNEL;
use super::{Machine, Point};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use tlb_shootdown::address::{PageRange, RangeError};
use tlb_shootdown::arch::{
    Arch, Delivery, Entries, Half, HardwareId, IdError, Issued, JoinError, Presence, Reach,
    Unproven,
};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::space::SpaceId;

pub(crate) struct TestArch {
    machine: &'static Machine,
    next: AtomicU64,
    /// What each CPU has issued and not completed.
    issued: Vec<Mutex<Vec<Operation>>>,
}

/// The identifier of a space; 0 before it has run.
#[derive(Default)]
pub(crate) struct TestSpace(AtomicU64);

impl TestSpace {
    pub(crate) fn raw(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Copy)]
struct Operation {
    reach: Reach,
    /// `None`: everything.
    id: Option<u64>,
    pages: Option<(u64, u64)>,
}

impl TestArch {
    pub(crate) fn new(machine: &'static Machine) -> Self {
        let issued = machine.cpus.iter().map(|_| Mutex::default()).collect();
        Self {
            machine,
            next: AtomicU64::new(1),
            issued,
        }
    }

    fn issue(&self, id: Option<u64>, pages: Option<&PageRange>, reach: Reach, cost: &mut Cost) {
        let here = self.machine.here();
        let stays = here.pins.load(Ordering::Relaxed) + here.irqs_off.load(Ordering::Relaxed);
        assert!(stays > 0, "issued by a task that may migrate");
        assert!(
            self.machine.broadcasts || reach == Reach::Local,
            "cannot broadcast"
        );
        cost.invalidations += 1;
        let pages = pages.map(|pages| (pages.first().raw() >> 12, pages.last_byte().raw() >> 12));
        let mut issued = self.issued[self.machine.current()].lock().unwrap();
        issued.push(Operation { reach, id, pages });
        self.machine.journal.push(Event::Issue(reach));
    }

    fn apply(&self, op: &Operation, cpu: usize) {
        let covers = |id: u64, page: u64| {
            op.id.is_none_or(|of| of == id)
                && op
                    .pages
                    .is_none_or(|(first, last)| (first..=last).contains(&page))
        };
        let mut tlb = self.machine.cpus[cpu].tlb.lock().unwrap();
        tlb.retain(|(id, page), _| !covers(*id, *page));
    }
}

// SAFETY: nothing but tests relies on it. `complete` removes from the TLBs that each operation reaches at least what it names.
unsafe impl Arch for TestArch {
    type Space = TestSpace;

    fn join(&self, cpu: CpuId) -> Result<(), JoinError> {
        match self.machine.cpus.get(cpu.index()) {
            Some(_) => Ok(()),
            None => Err(JoinError::UnknownCpu),
        }
    }

    fn delivery(&self, _id: Option<HardwareId>) -> Delivery {
        match self.machine.broadcasts {
            true => Delivery::Broadcast,
            false => Delivery::Asked,
        }
    }

    fn compares_generations(&self) -> bool {
        !self.machine.broadcasts
    }

    fn presence(&self, cpu: CpuId, _space: SpaceId, _id: HardwareId) -> Presence {
        self.machine.pass(Point::Presence);
        self.machine.presence(cpu.index())
    }

    fn is_lazy(&self, cpu: CpuId, _space: SpaceId) -> bool {
        self.machine.presence(cpu.index()) == Presence::Lazy
    }

    fn left_borrowed_root(&self, cpu: CpuId) {
        if self.machine.presence(cpu.index()) == Presence::Lazy {
            self.machine.set_presence(cpu.index(), Presence::Elsewhere);
        }
    }

    fn flush_in_nmi(&self, cpu: CpuId) -> bool {
        self.machine.cpus[cpu.index()].tlb.lock().unwrap().clear();
        true
    }

    fn check_range(&self, half: Half, pages: &PageRange) -> Result<(), RangeError> {
        let top = match half {
            Half::User => 0,
            Half::Kernel => 0xffff,
        };
        let inside = |raw: u64| raw >> 48 == top;
        match inside(pages.first().raw()) && inside(pages.last_byte().raw()) {
            true => Ok(()),
            false => Err(RangeError::NonCanonical),
        }
    }

    fn store_barrier(&self, _reach: Reach, cost: &mut Cost) {
        cost.store_barriers += 1;
        fence(Ordering::SeqCst);
        self.machine.journal.push(Event::StoreBarrier);
        self.machine.pass(Point::AfterStoreBarrier);
    }

    fn hardware_id(&self, space: &TestSpace) -> Option<HardwareId> {
        self.machine.journal.push(Event::ReadId);
        self.machine.pass(Point::ReadId);
        let id = space.raw();
        (id != 0).then_some(HardwareId(id))
    }

    fn flush_tlb_range(
        &self,
        id: HardwareId,
        pages: &PageRange,
        _entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        self.issue(Some(id.0), Some(pages), reach, cost);
    }

    fn flush_tlb_space(&self, id: HardwareId, reach: Reach, cost: &mut Cost) {
        self.issue(Some(id.0), None, reach, cost);
    }

    fn flush_tlb_kernel_range(
        &self,
        pages: &PageRange,
        _entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        self.issue(Some(KERNEL), Some(pages), reach, cost);
    }

    fn flush_tlb_all(&self, reach: Reach, cost: &mut Cost) {
        self.issue(None, None, reach, cost);
    }

    fn complete_local(&self, _issued: impl IntoIterator<Item = Issued>, cost: &mut Cost) {
        self.complete_all(Reach::Local, cost);
    }

    fn complete_broadcast(
        &self,
        _issued: impl IntoIterator<Item = Issued>,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        self.complete_all(Reach::Broadcast, cost);
        Ok(())
    }

    fn activate(
        &self,
        _cpu: CpuId,
        space: &TestSpace,
        fresh: &mut dyn FnMut(),
        _cost: &mut Cost,
    ) -> Result<HardwareId, IdError> {
        self.machine.pass(Point::Activate);
        if space.raw() == 0 {
            fresh();
            let id = self.next.fetch_add(1, Ordering::SeqCst);
            let _ = space
                .0
                .compare_exchange(0, id, Ordering::SeqCst, Ordering::SeqCst);
        }
        Ok(HardwareId(space.raw()))
    }

    fn retire(&self, space: &TestSpace) {
        space.0.store(0, Ordering::SeqCst);
    }

    fn before_migration(&self, cost: &mut Cost) {
        self.complete_all(Reach::Broadcast, cost);
    }
}

impl TestArch {
    fn complete_all(&self, reach: Reach, cost: &mut Cost) {
        cost.completion_barriers += 1;
        self.machine.pass(Point::BeforeComplete);
        let me = self.machine.current();
        let mut issued = self.issued[me].lock().unwrap();
        // A local completion says nothing of broadcasts.
        let (now, later): (Vec<_>, _) = issued.drain(..).partition(|op| op.reach <= reach);
        *issued = later;
        drop(issued);
        for op in now {
            match op.reach {
                Reach::Local => self.apply(&op, me),
                Reach::Broadcast => {
                    (0..self.machine.cpus.len()).for_each(|cpu| self.apply(&op, cpu))
                }
            }
        }
        self.machine.journal.push(Event::Complete(reach));
    }
}
