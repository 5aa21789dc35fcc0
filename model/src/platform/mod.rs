//! A kernel underneath: the library's [`Platform`] over the model, with a virtual clock and interrupts on script.

mod barriers;
mod bound;
pub(crate) mod current;
mod guards;
mod ipi;
mod plain;

pub use barriers::ModelBarriers;
pub use guards::{IrqGuard, PinGuard};
pub use ipi::IpiScript;
pub use plain::{PlainArch, PlainSpace};

use crate::lock::Lock;
use crate::model::Model;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use bound::Bound;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ipi::Interrupts;
use tlb_shootdown::arch::{Arch, HardwareId};
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::platform::Platform;
use tlb_shootdown::space::SpaceId;

/// Nanoseconds of the virtual clock that one turn of a spin loop takes, unless a test says otherwise.
const TURN: u64 = 1000;

/// What an interrupted CPU runs: `Shootdown::on_ipi` in most tests.
type Handler = Arc<dyn Fn() + Send + Sync>;

struct Shared {
    model: Model,
    nanoseconds: AtomicU64,
    turn: AtomicU64,
    has_clock: AtomicBool,
    repairs: AtomicBool,
    interrupts: Lock<Interrupts>,
    /// The space whose root each CPU has loaded.
    loaded: Lock<BTreeMap<usize, SpaceId>>,
    handler: Lock<Option<Handler>>,
    bound: Lock<Option<Bound>>,
}

/// The platform of a [`Model`]. Clones are the same platform.
///
/// Each host thread is one CPU at a time: [`set_current`](Self::set_current). With a [handler](Self::set_handler), CPUs that have no
/// thread of their own are interrupted while others spin.
pub struct ModelPlatform<A> {
    shared: Arc<Shared>,
    arch: PhantomData<fn() -> A>,
}

impl<A> Clone for ModelPlatform<A> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            arch: PhantomData,
        }
    }
}

impl<A> fmt::Debug for ModelPlatform<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelPlatform")
            .field("now", &self.shared.nanoseconds)
            .finish_non_exhaustive()
    }
}

impl<A> ModelPlatform<A> {
    /// The platform of this machine. From now on the machine demands that TLB invalidations are issued pinned.
    pub fn new(model: Model) -> Self {
        model.with(|world| world.demands_pins = true);
        Self {
            shared: Arc::new(Shared {
                model,
                nanoseconds: AtomicU64::new(0),
                turn: AtomicU64::new(TURN),
                has_clock: AtomicBool::new(true),
                repairs: AtomicBool::new(false),
                interrupts: Lock::new(Interrupts::default()),
                loaded: Lock::new(BTreeMap::new()),
                handler: Lock::new(None),
                bound: Lock::new(None),
            }),
            arch: PhantomData,
        }
    }

    /// The machine.
    pub fn model(&self) -> &Model {
        &self.shared.model
    }

    /// The calling thread executes on this CPU from now on, as if it had always been there: nothing is checked.
    pub fn set_current(&self, cpu: usize) {
        current::set(cpu);
    }

    /// The calling thread's CPU loads the root of a space, under the identifier that the engine gave it.
    pub fn load(&self, space: SpaceId, root: u64, id: HardwareId) {
        let cpu = current::get();
        self.shared.loaded.with(|all| all.insert(cpu, space));
        self.shared.model.cpu(cpu).load(root, id.0);
    }

    /// The calling task is moved to another CPU. A violation where it had invalidations under way, or was pinned.
    pub fn migrate(&self, cpu: usize) {
        let old = current::get();
        self.shared.model.with(|world| world.leave(old));
        current::set(cpu);
    }

    /// Whether there is a clock; without one, the library counts turns. There is one at first.
    pub fn set_clock(&self, has_clock: bool) {
        self.shared.has_clock.store(has_clock, Ordering::Relaxed);
    }

    /// Whether the fault handlers repair spurious faults; they do not at first.
    pub fn set_repairs_spurious_faults(&self, repairs: bool) {
        self.shared.repairs.store(repairs, Ordering::Relaxed);
        self.shared.model.permit_lazy_upgrades(repairs);
    }

    /// How long a turn of a spin loop takes, in nanoseconds; 1000 at first. Longer ones reach a deadline sooner.
    pub fn set_turn(&self, nanoseconds: u64) {
        self.shared.turn.store(nanoseconds, Ordering::Relaxed);
    }

    /// Lets time pass without a spin loop.
    pub fn advance(&self, nanoseconds: u64) {
        self.shared
            .nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Runs `call`, which may take so many turns of waiting loops, whoever waits in it: a violation where it takes more. A deadline of so many
    /// nanoseconds is as many turns as [`Self::set_turn`] makes of them, and a few. One call at a time has a bound.
    ///
    /// # Panics
    /// Where it takes twice as many, because then it never ends.
    pub fn bounded<R>(&self, turns: u64, call: impl FnOnce() -> R) -> R {
        self.shared
            .bound
            .with(|bound| *bound = Some(Bound::new(turns)));
        let result = call();
        if let Some(bound) = self.shared.bound.with(Option::take) {
            bound.judge(&self.shared.model);
        }
        result
    }

    /// What interrupted CPUs run.
    pub fn set_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        let handler: Handler = Arc::new(handler);
        self.shared.handler.with(|slot| *slot = Some(handler));
    }

    /// Runs no handler any more; it may own what owns this platform.
    pub fn clear_handler(&self) {
        let old = self.shared.handler.with(Option::take);
        drop(old);
    }

    /// What happens to interrupts sent to this CPU from now on.
    pub fn script_ipis(&self, cpu: usize, script: IpiScript) {
        self.shared.interrupts.with(|all| all.script(cpu, script));
    }

    /// Takes the interrupt that is due on the calling thread's CPU, if any: for CPUs with threads of their own, which then call
    /// the handler themselves.
    pub fn take_ipi(&self) -> bool {
        let cpu = current::get();
        self.takes_interrupts(cpu) && self.shared.interrupts.with(|all| all.take(cpu))
    }

    fn takes_interrupts(&self, cpu: usize) -> bool {
        self.shared.model.with(|world| {
            let cpu = world.cpus.get(cpu);
            cpu.is_none_or(|cpu| cpu.irqs_off == 0 && !cpu.is_stopped)
        })
    }

    /// Interrupts every CPU that is due and can be.
    fn deliver(&self) {
        let cpus = self.shared.model.with(|world| world.cpus.len());
        (0..cpus).for_each(|cpu| {
            self.interrupt(cpu);
        });
    }

    /// Whether an interrupt is due on this CPU, and can be taken there.
    pub fn is_interrupted(&self, cpu: usize) -> bool {
        self.takes_interrupts(cpu) && self.shared.interrupts.with(|all| all.is_due(cpu))
    }

    /// Interrupts this CPU alone, where that is due and it can be: its handler runs on this thread, as that CPU. Whether there was one.
    pub fn interrupt(&self, cpu: usize) -> bool {
        let Some(handler) = self.shared.handler.with(|slot| slot.clone()) else {
            return false;
        };
        if !self.takes_interrupts(cpu) || !self.shared.interrupts.with(|all| all.take(cpu)) {
            return false;
        }
        let me = current::get();
        current::set(cpu);
        let irqs_off = IrqGuard::new(&self.shared.model, cpu);
        handler();
        drop(irqs_off);
        current::set(me);
        true
    }
}

// SAFETY: nothing but tests relies on it. CPU numbers are the threads' own, guards are counted by the machine, and interrupts reach
// the handler unless the script loses them, which is what some tests are about.
unsafe impl<A: Arch> Platform for ModelPlatform<A> {
    type Arch = A;
    type PinGuard = PinGuard;
    type IrqGuard = IrqGuard;

    fn cpu(&self) -> CpuId {
        CpuId::new(current::get() as u32)
    }

    fn pin_cpu(&self) -> PinGuard {
        PinGuard::new(&self.shared.model, current::get())
    }

    fn irq_save(&self) -> IrqGuard {
        IrqGuard::new(&self.shared.model, current::get())
    }

    fn send_ipi(&self, targets: CpuMask<'_>) {
        for cpu in targets.iter() {
            self.shared
                .model
                .with(|world| world.ground.oracle.counts.ipis += 1);
            self.shared.interrupts.with(|all| all.send(cpu.index()));
        }
    }

    fn relax(&self) {
        self.shared
            .bound
            .with(|bound| bound.iter_mut().for_each(Bound::tick));
        self.advance(self.shared.turn.load(Ordering::Relaxed));
        self.shared.model.step();
        self.shared.interrupts.with(Interrupts::tick);
        self.deliver();
        #[cfg(feature = "std")]
        std::thread::yield_now();
    }

    fn now(&self) -> Option<u64> {
        let has_clock = self.shared.has_clock.load(Ordering::Relaxed);
        has_clock.then(|| self.shared.nanoseconds.load(Ordering::Relaxed))
    }

    fn leave_borrowed_root(&self, space: Option<SpaceId>) {
        let cpu = current::get();
        let borrows = self.model().with(|world| world.cpus[cpu].borrows_root());
        let leaves = self.shared.loaded.with(|all| {
            let loaded = all.get(&cpu).copied();
            let leaves = borrows && (space.is_none() || loaded == space);
            if leaves {
                all.remove(&cpu);
            }
            leaves
        });
        if leaves {
            self.shared.model.cpu(cpu).run_nothing();
        }
    }

    fn repairs_spurious_faults(&self) -> bool {
        self.shared.repairs.load(Ordering::Relaxed)
    }
}
