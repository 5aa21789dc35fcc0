//! A platform on the machine, whose CPUs the test plays in turn, with one defect.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;
use tlb_shootdown::arch::Arch;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::SpaceId;
use tlb_shootdown_model::conformance::Cpus;
use tlb_shootdown_model::platform::{IpiScript, IrqGuard, ModelPlatform, PinGuard};

pub(crate) const CPUS: u32 = 3;

/// What is wrong with the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    /// CPU 2 gives a number beyond the capacity.
    HighNumber,
    /// The same, after so many turns of its spin loop.
    HighNumberAfter(u32),
    /// CPU 2 gives the number of CPU 1.
    SharedNumber,
    /// CPUs 1 and 2 give each other's numbers.
    Swapped,
    /// After so many turns of its spin loop, CPU 1 is CPU 2.
    MovesAfter(u32),
    RepairsSometimes,
    WakesSometimes,
    SendsNmiSometimes,
    /// CPU 2 has no clock.
    ClockSometimes,
    /// The clock of CPU 2 is behind.
    ClockBehind,
    ClockStands,
    /// CPU 1 is never interrupted.
    Deaf,
    /// CPU 1 loses what is sent while it is on its way out of the handler.
    DeafInHandler,
    /// CPU 1 is deaf once it was interrupted without a request.
    DeafOnceUnasked,
    /// CPU 2 does not do what it is asked to.
    Idle,
    /// Roots that are borrowed stay loaded.
    KeepsRoot,
}

/// Turns that CPU 1 takes to leave its handler.
const WAY_OUT: u32 = 3;

pub(crate) type Engine<A> = Shootdown<Played<A>, 1>;

#[derive(Debug)]
pub(crate) struct Played<A> {
    inner: ModelPlatform<A>,
    defect: Defect,
    /// Everybody has come online: the defect shows.
    armed: AtomicBool,
    /// Turns of the spin loops of CPUs 1 and 2.
    turns: [AtomicU32; 2],
    /// How often a question was asked that has two answers.
    asked: AtomicU32,
    /// Turns until CPU 1 has left its handler.
    way_out: AtomicU32,
}

impl<A: Arch + 'static> Played<A> {
    /// The engine with all CPUs online. The test is CPU 0.
    pub(crate) fn engine(inner: ModelPlatform<A>, arch: A, defect: Defect) -> &'static Engine<A> {
        let platform = Self {
            inner: inner.clone(),
            defect,
            armed: AtomicBool::new(false),
            turns: [const { AtomicU32::new(0) }; 2],
            asked: AtomicU32::new(0),
            way_out: AtomicU32::new(0),
        };
        let patience = Patience {
            nanoseconds: 5_000_000,
            turns: 5_000,
        };
        let engine = Engine::with_patience(platform, arch, patience);
        let engine: &'static Engine<A> = Box::leak(Box::new(engine));
        inner.set_handler(|| handle(engine));
        for cpu in 0..CPUS {
            inner.set_current(cpu as usize);
            engine.cpu_online().unwrap();
        }
        inner.set_current(0);
        inner.advance(1_000_000_000);
        let platform = engine.platform();
        platform.armed.store(true, Ordering::Relaxed);
        if defect == Defect::Deaf {
            inner.script_ipis(1, IpiScript::Lose);
        }
        engine
    }

    pub(crate) fn inner(&self) -> &ModelPlatform<A> {
        &self.inner
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect && self.armed.load(Ordering::Relaxed)
    }

    /// True, but for a time now and then.
    fn sometimes(&self, defect: Defect) -> bool {
        self.is(defect) && self.asked.fetch_add(1, Ordering::Relaxed) % 7 == 6
    }

    fn number(&self, cpu: u32) -> u32 {
        let after = |limit| {
            let turns = self.turns.get(cpu.wrapping_sub(1) as usize);
            turns.is_some_and(|turns| turns.load(Ordering::Relaxed) >= limit)
        };
        match (self.defect, cpu) {
            _ if !self.armed.load(Ordering::Relaxed) => cpu,
            (Defect::HighNumber, 2) => 64,
            (Defect::HighNumberAfter(turns), 2) if after(turns) => 64,
            (Defect::SharedNumber, 2) => 1,
            (Defect::Swapped, 1 | 2) => 3 - cpu,
            (Defect::MovesAfter(turns), 1) if after(turns) => 2,
            _ => cpu,
        }
    }
}

/// The interrupt handler, and how some CPUs leave it.
fn handle<A: Arch + 'static>(engine: &Engine<A>) {
    let platform = engine.platform();
    let before = engine.stats().requests_served;
    engine.on_ipi();
    let unasked = engine.stats().requests_served == before;
    if platform.inner.cpu() == CpuId::new(1) {
        platform.way_out.store(WAY_OUT, Ordering::Relaxed);
        if unasked && platform.is(Defect::DeafOnceUnasked) {
            platform.inner.script_ipis(1, IpiScript::Lose);
        }
    }
}

// SAFETY: nothing but tests relies on it, and most of them on its defects.
unsafe impl<A: Arch + 'static> Platform for Played<A> {
    type Arch = A;
    type PinGuard = PinGuard;
    type IrqGuard = IrqGuard;

    fn cpu(&self) -> CpuId {
        CpuId::new(self.number(self.inner.cpu().index() as u32))
    }

    fn pin_cpu(&self) -> PinGuard {
        self.inner.pin_cpu()
    }

    fn irq_save(&self) -> IrqGuard {
        self.inner.irq_save()
    }

    fn send_ipi(&self, targets: CpuMask<'_>) {
        let leaving = self.way_out.load(Ordering::Relaxed) > 0;
        if self.is(Defect::DeafInHandler) && leaving {
            self.inner.script_ipis(1, IpiScript::Lose);
        }
        self.inner.send_ipi(targets);
        if self.is(Defect::DeafInHandler) {
            self.inner.script_ipis(1, IpiScript::Deliver);
        }
    }

    fn send_nmi(&self, _targets: CpuMask<'_>) -> bool {
        self.sometimes(Defect::SendsNmiSometimes)
    }

    fn relax(&self) {
        if let Some(turns) = self.turns.get(self.inner.cpu().index().wrapping_sub(1)) {
            turns.fetch_add(1, Ordering::Relaxed);
        }
        let way_out = self.way_out.load(Ordering::Relaxed);
        self.way_out
            .store(way_out.saturating_sub(1), Ordering::Relaxed);
        // Millions of turns are waited for such a clock; those of the machine would take too long.
        if !self.is(Defect::ClockStands) {
            self.inner.relax();
        }
    }

    fn wake_later(&self, _waker: &Waker) -> bool {
        self.sometimes(Defect::WakesSometimes)
    }

    fn now(&self) -> Option<u64> {
        let is_second = self.inner.cpu() == CpuId::new(2);
        let behind = if is_second && self.is(Defect::ClockBehind) {
            1_000_000
        } else {
            0
        };
        match self.inner.now() {
            _ if is_second && self.is(Defect::ClockSometimes) => None,
            _ if self.is(Defect::ClockStands) => Some(5),
            now => now.map(|now| now - behind),
        }
    }

    fn leave_borrowed_root(&self, space: Option<SpaceId>) {
        if !self.is(Defect::KeepsRoot) {
            self.inner.leave_borrowed_root(space);
        }
    }

    fn repairs_spurious_faults(&self) -> bool {
        self.sometimes(Defect::RepairsSometimes) || self.inner.repairs_spurious_faults()
    }
}

impl<A: Arch + 'static> Cpus for Played<A> {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        if cpu == CpuId::new(2) && self.is(Defect::Idle) {
            return;
        }
        let caller = self.inner.cpu();
        self.inner.set_current(cpu.index());
        work();
        self.inner.set_current(caller.index());
    }
}
