//! A platform whose CPUs are threads: each takes its own interrupts in its spin loop, unless it has turned them off.

use crate::defective::{Defect, Defective};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::SpaceId;
use tlb_shootdown_model::conformance::{self, Cpus, Failure, Passed};
use tlb_shootdown_model::platform::{ModelPlatform, PlainArch};
use tlb_shootdown_model::{Model, Temper};

pub(crate) const CPUS: usize = 3;

/// How interrupts are turned off, and what else is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// As they must be.
    Kept,
    /// Not at all.
    Ignored,
    /// Until the first of several guards is dropped.
    EndsWithInner,
    /// Until a pin guard is dropped.
    EndsWithPin,
    /// For ever.
    NeverEnds,
    /// As they must be, but "at the same time" is one CPU after another.
    OneAfterAnother,
    /// As they must be, and NMIs wait for their end as interrupts do.
    OfNmisAsWell,
    /// As they must be, but nobody is ever woken.
    KeptButWakesNobody,
}

thread_local! {
    static OFF: Cell<u32> = const { Cell::new(0) };
    /// Guards that live, whatever they do.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
    /// In its interrupt handler, which ends as it must.
    static HANDLES: Cell<bool> = const { Cell::new(false) };
    /// Millions of turns are waited for somebody who does not come.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

pub(crate) type Engine = Shootdown<Threads, 1>;

pub(crate) struct Threads {
    /// Which CPU a thread is, for the machine as well.
    pub(crate) inner: ModelPlatform<Defective>,
    mask: Mask,
    pending: [AtomicBool; CPUS],
    pending_nmis: [AtomicBool; CPUS],
    /// Who keeps a root for a kernel thread. A request that is read while it is written is taken for one of everything, and asks whoever runs
    /// a process as well.
    pub(crate) borrows: [AtomicBool; CPUS],
    /// Tasks that are woken in the next turn of anybody's spin loop.
    wakers: Mutex<Vec<Waker>>,
    engine: OnceLock<&'static Engine>,
    begun: Instant,
    /// One run at a time.
    running: Mutex<()>,
    is_running: AtomicBool,
}

/// Runs the suite on it.
pub(crate) fn platform(mask: Mask) -> Result<Passed, Failure> {
    let engine = engine(mask, Model::new(CPUS, Temper::Kind));
    conformance::platform(engine, engine.platform())
}

/// An engine whose CPUs, as many as the machine has, are online. The calling thread is CPU 0.
pub(crate) fn engine(mask: Mask, model: Model) -> &'static Engine {
    let platform = Threads {
        inner: ModelPlatform::new(model.clone()),
        mask,
        pending: [const { AtomicBool::new(false) }; CPUS],
        pending_nmis: [const { AtomicBool::new(false) }; CPUS],
        borrows: [const { AtomicBool::new(false) }; CPUS],
        wakers: Mutex::default(),
        engine: OnceLock::new(),
        begun: Instant::now(),
        running: Mutex::new(()),
        is_running: AtomicBool::new(false),
    };
    let patience = Patience {
        nanoseconds: Duration::from_secs(30).as_nanos() as u64,
        turns: 200_000,
    };
    let arch = Defective::new(PlainArch::new(model), Defect::None);
    let engine = Engine::with_patience(platform, arch, patience);
    let engine: &'static Engine = Box::leak(Box::new(engine));
    assert!(engine.platform().engine.set(engine).is_ok());
    for cpu in 0..CPUS {
        engine.platform().inner.set_current(cpu);
        engine.cpu_online().unwrap();
    }
    engine.platform().inner.set_current(0);
    OFF.set(0);
    engine
}

impl Threads {
    fn take_nmi(&self) {
        let me = self.inner.cpu().index();
        let waits = OFF.get() > 0 && self.mask == Mask::OfNmisAsWell;
        if !waits
            && self.pending_nmis[me].swap(false, Ordering::SeqCst)
            && let Some(engine) = self.engine.get()
        {
            engine.on_nmi();
        }
    }

    /// Between two runs no other thread is there to take the interrupts of its CPU.
    fn take_everybodys(&self) {
        let me = self.inner.cpu().index();
        let (off, guards) = (OFF.replace(0), GUARDS.replace(0));
        for cpu in (0..CPUS).filter(|&cpu| cpu != me) {
            self.inner.set_current(cpu);
            self.take_interrupt();
        }
        self.inner.set_current(me);
        OFF.set(off);
        GUARDS.set(guards);
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap());
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    fn take_interrupt(&self) {
        let me = self.inner.cpu().index();
        let is_off = OFF.get() > 0 && self.mask != Mask::Ignored;
        if is_off || !self.pending[me].swap(false, Ordering::SeqCst) {
            return;
        }
        if let Some(engine) = self.engine.get() {
            let before = OFF.replace(1);
            HANDLES.set(true);
            engine.on_ipi();
            HANDLES.set(false);
            OFF.set(before);
            if GUARDS.get() > 0 {
                // Too early, and the others are to see it, however loaded the host is.
                thread::sleep(Duration::from_millis(200));
            }
        }
    }

    /// Runs `work` on these CPUs, while the others take interrupts, and so does whoever has ended.
    fn run(&self, is_asked: impl Fn(usize) -> bool + Sync, work: &(dyn Fn() + Sync)) {
        let _alone = self.running.lock();
        self.is_running.store(true, Ordering::SeqCst);
        let caller = self.inner.cpu().index();
        let unfinished = AtomicUsize::new((0..CPUS).filter(|&cpu| is_asked(cpu)).count());
        let play = |cpu| {
            self.inner.set_current(cpu);
            if is_asked(cpu) {
                let _ends = Ends(&unfinished);
                work();
            }
            while unfinished.load(Ordering::SeqCst) > 0 {
                self.relax();
            }
        };
        thread::scope(|scope| {
            for cpu in (0..CPUS).filter(|&cpu| cpu != caller) {
                scope.spawn(move || play(cpu));
            }
            play(caller);
        });
        self.is_running.store(false, Ordering::SeqCst);
        // Interrupts that nobody is left to take.
        OFF.set(0);
    }
}

/// Counts the end of a piece of work, also where it panics.
struct Ends<'a>(&'a AtomicUsize);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Cpus for Threads {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        self.run(|index| index == cpu.index(), work);
    }

    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        if self.mask == Mask::OneAfterAnother {
            ALONE.set(true);
            (0..CPUS).for_each(|cpu| {
                self.inner.set_current(cpu);
                work();
            });
            self.inner.set_current(0);
            ALONE.set(false);
        } else {
            self.run(|_| true, work);
        }
        true
    }
}

pub(crate) struct Off(Mask);

impl Drop for Off {
    fn drop(&mut self) {
        GUARDS.set(GUARDS.get() - 1);
        match self.0 {
            Mask::EndsWithInner => OFF.set(0),
            Mask::NeverEnds if !HANDLES.get() => {}
            _ => OFF.set(OFF.get().saturating_sub(1)),
        }
    }
}

pub(crate) struct Pin(Mask);

impl Drop for Pin {
    fn drop(&mut self) {
        if self.0 == Mask::EndsWithPin {
            OFF.set(0);
        }
    }
}

// SAFETY: nothing but tests relies on it, and most of them on its defects.
unsafe impl Platform for Threads {
    type Arch = Defective;
    type PinGuard = Pin;
    type IrqGuard = Off;

    fn cpu(&self) -> CpuId {
        self.inner.cpu()
    }

    fn pin_cpu(&self) -> Pin {
        Pin(self.mask)
    }

    fn irq_save(&self) -> Off {
        OFF.set(OFF.get() + 1);
        GUARDS.set(GUARDS.get() + 1);
        Off(self.mask)
    }

    fn send_ipi(&self, targets: CpuMask<'_>) {
        for cpu in targets.iter() {
            self.pending[cpu.index()].store(true, Ordering::SeqCst);
        }
    }

    fn send_nmi(&self, targets: CpuMask<'_>) -> bool {
        for cpu in targets.iter() {
            self.pending_nmis[cpu.index()].store(true, Ordering::SeqCst);
        }
        true
    }

    fn wake_later(&self, waker: &Waker) -> bool {
        if self.mask != Mask::KeptButWakesNobody {
            self.wakers.lock().unwrap().push(waker.clone());
        }
        true
    }

    fn leave_borrowed_root(&self, space: Option<SpaceId>) {
        if self.borrows[self.cpu().index()].load(Ordering::SeqCst) {
            self.inner.leave_borrowed_root(space);
        }
    }

    fn relax(&self) {
        self.take_nmi();
        self.take_interrupt();
        if !self.is_running.load(Ordering::SeqCst) {
            self.take_everybodys();
        }
        self.wake_all();
        if !ALONE.get() {
            thread::yield_now();
        }
    }

    /// Where an answer is to be missed the limit is counted in turns, so that it is reached soon.
    fn now(&self) -> Option<u64> {
        let elapsed = self.begun.elapsed().as_nanos() as u64;
        (self.mask != Mask::NeverEnds).then_some(elapsed)
    }
}
