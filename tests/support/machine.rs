//! CPUs with TLBs, page tables, and the engine above them.

use super::journal::{Event, Journal};
use super::{Host, TestArch};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::Waker;
use tlb_shootdown::arch::Presence;
use tlb_shootdown::cpu_set::CpuSet;
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;

pub(crate) type Engine = Shootdown<Host, 1>;
pub(crate) type Space = AddressSpace<TestArch, 1>;

/// Places at which a test can let another CPU act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Point {
    AfterStoreBarrier,
    ReadId,
    Activate,
    Presence,
    BeforeComplete,
    Needs,
    Queue,
    Seal,
    Poll,
    Relax,
    WakeLater,
}

type Hook = Box<dyn FnOnce() + Send>;

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The key of kernel entries, which no identifier tags.
pub(crate) const KERNEL: u64 = u64::MAX;

#[derive(Default)]
pub(crate) struct Cpu {
    /// (identifier, page) to what the entry held when it was filled.
    pub(crate) tlb: Mutex<HashMap<(u64, u64), u64>>,
    pub(crate) pins: AtomicU32,
    pub(crate) irqs_off: AtomicU32,
    ipi: AtomicBool,
    /// No thread of its own: interrupted while others spin.
    auto: AtomicBool,
    pub(crate) left_roots: AtomicU32,
    /// How it stands to every space, where that is not [`Presence::Running`].
    presence: Mutex<Option<Presence>>,
    nmi: AtomicBool,
}

pub(crate) struct Machine {
    pub(crate) journal: Journal,
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) broadcasts: bool,
    pub(crate) repairs: AtomicBool,
    pub(crate) has_clock: AtomicBool,
    pub(crate) has_nmi: AtomicBool,
    pub(crate) clock: AtomicU64,
    /// Wakers that the platform keeps, where it does.
    pub(crate) wakers: Mutex<Option<Vec<Waker>>>,
    /// (space, page) to the entry in memory.
    pub(crate) tables: Mutex<HashMap<(u64, u64), u64>>,
    engine: OnceLock<&'static Engine>,
    hooks: Mutex<Vec<(Point, Hook)>>,
    has_hooks: AtomicBool,
}

impl Machine {
    /// A machine whose CPUs have no threads of their own and answer while others spin. All CPUs are online.
    pub(crate) fn new(cpus: usize, broadcasts: bool) -> (&'static Self, &'static Engine) {
        let (machine, engine) = Self::booting(cpus, broadcasts, 1000);
        for cpu in 0..cpus {
            machine.on(cpu, || engine.cpu_online().unwrap());
        }
        machine.journal.take();
        (machine, engine)
    }

    /// A machine whose CPUs are not online yet, with so many turns of the clock in a deadline.
    pub(crate) fn booting(
        cpus: usize,
        broadcasts: bool,
        turns: u64,
    ) -> (&'static Self, &'static Engine) {
        let machine: &'static Self = Box::leak(Box::new(Self {
            journal: Journal::default(),
            cpus: (0..cpus).map(|_| Cpu::default()).collect(),
            broadcasts,
            repairs: AtomicBool::new(false),
            has_clock: AtomicBool::new(true),
            has_nmi: AtomicBool::new(true),
            clock: AtomicU64::new(0),
            wakers: Mutex::new(None),
            tables: Mutex::default(),
            engine: OnceLock::new(),
            hooks: Mutex::default(),
            has_hooks: AtomicBool::new(false),
        }));
        for cpu in &machine.cpus {
            cpu.auto.store(true, Ordering::Relaxed);
        }
        CURRENT.set(0);
        let patience = Patience {
            nanoseconds: turns.saturating_mul(1000),
            turns,
        };
        let engine = Shootdown::with_patience(Host(machine), TestArch::new(machine), patience);
        let engine: &'static Engine = Box::leak(Box::new(engine));
        let _ = machine.engine.set(engine);
        (machine, engine)
    }

    pub(crate) fn new_space(&self) -> &'static Space {
        Box::leak(Box::new(self.engine().new_space()))
    }

    pub(crate) fn engine(&self) -> &'static Engine {
        self.engine.get().expect("set when made")
    }

    pub(crate) fn current(&self) -> usize {
        CURRENT.get()
    }

    /// From now on the calling thread is this CPU.
    pub(crate) fn become_cpu(&self, cpu: usize) {
        CURRENT.set(cpu);
    }

    /// Runs `f` as this CPU.
    pub(crate) fn on<R>(&self, cpu: usize, f: impl FnOnce() -> R) -> R {
        let me = CURRENT.replace(cpu);
        let result = f();
        CURRENT.set(me);
        result
    }

    pub(crate) fn here(&self) -> &Cpu {
        &self.cpus[self.current()]
    }

    /// Whether the CPU is interrupted while others spin.
    pub(crate) fn set_auto(&self, cpu: usize, auto: bool) {
        self.cpus[cpu].auto.store(auto, Ordering::Relaxed);
    }

    /// The next time somebody passes the point, `f` runs there.
    pub(crate) fn at(&self, point: Point, f: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap().push((point, Box::new(f)));
        self.has_hooks.store(true, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, point: Point) {
        if !self.has_hooks.load(Ordering::SeqCst) {
            return;
        }
        let hook = {
            let mut hooks = self.hooks.lock().unwrap();
            let found = hooks.iter().position(|(at, _)| *at == point);
            found.map(|index| hooks.remove(index).1)
        };
        if let Some(hook) = hook {
            hook();
        }
    }

    /// Every CPU of `cpus` switches to the space, and reads the page.
    pub(crate) fn run_on(&self, space: &Space, cpus: impl IntoIterator<Item = usize>, page: u64) {
        for cpu in cpus {
            self.on(cpu, || {
                self.engine().switch_to(space).unwrap();
                self.read(space, page);
            });
        }
    }

    pub(crate) fn map(&self, space: &Space, page: u64, entry: u64) {
        let mut tables = self.tables.lock().unwrap();
        tables.insert((space.id().raw(), page), entry);
    }

    pub(crate) fn unmap(&self, space: &Space, page: u64) {
        let mut tables = self.tables.lock().unwrap();
        tables.remove(&(space.id().raw(), page));
    }

    pub(crate) fn table_entry(&self, space: u64, page: u64) -> Option<u64> {
        self.tables.lock().unwrap().get(&(space, page)).copied()
    }

    /// What the calling CPU sees at a page: what its TLB holds, else what the walk finds.
    pub(crate) fn read(&self, space: &Space, page: u64) -> Option<u64> {
        let id = space.hardware().raw();
        let mut tlb = self.here().tlb.lock().unwrap();
        if let Some(entry) = tlb.get(&(id, page)) {
            return Some(*entry);
        }
        let entry = self.table_entry(space.id().raw(), page)?;
        tlb.insert((id, page), entry);
        Some(entry)
    }

    /// What each CPU's TLB holds of the page.
    pub(crate) fn cached(&self, space: &Space, page: u64) -> Vec<Option<u64>> {
        let id = space.hardware().raw();
        let entry = |cpu: &Cpu| cpu.tlb.lock().unwrap().get(&(id, page)).copied();
        self.cpus.iter().map(entry).collect()
    }

    pub(crate) fn interrupt(&self, cpu: usize) {
        if let Some(cpu) = self.cpus.get(cpu) {
            cpu.ipi.store(true, Ordering::SeqCst);
        }
    }

    /// Takes the interrupt of the calling CPU, where one is pending and interrupts are on.
    pub(crate) fn safe_point(&self) {
        let Some(cpu) = self.cpus.get(self.current()) else {
            return;
        };
        if cpu.irqs_off.load(Ordering::Relaxed) == 0 && cpu.ipi.swap(false, Ordering::SeqCst) {
            cpu.irqs_off.fetch_add(1, Ordering::Relaxed);
            self.engine().on_ipi();
            cpu.irqs_off.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Interrupts the CPUs without threads of their own.
    pub(crate) fn deliver(&self) {
        for (index, cpu) in self.cpus.iter().enumerate() {
            if index != self.current() && cpu.auto.load(Ordering::Relaxed) {
                self.on(index, || self.safe_point());
            }
        }
    }

    pub(crate) fn interrupt_by_nmi(&self, cpu: usize) {
        self.cpus[cpu].nmi.store(true, Ordering::SeqCst);
    }

    /// Takes the NMI of this CPU, where one is pending, whatever its interrupts are.
    pub(crate) fn take_nmi(&self, cpu: usize) {
        if self.cpus[cpu].nmi.swap(false, Ordering::SeqCst) {
            self.on(cpu, || self.engine().on_nmi());
        }
    }

    pub(crate) fn set_presence(&self, cpu: usize, presence: Presence) {
        *self.cpus[cpu].presence.lock().unwrap() = Some(presence);
    }

    pub(crate) fn presence(&self, cpu: usize) -> Presence {
        let presence = *self.cpus[cpu].presence.lock().unwrap();
        presence.unwrap_or(Presence::Running)
    }

    /// The calling CPU runs with interrupts off.
    pub(crate) fn with_irqs_off<R>(&self, f: impl FnOnce() -> R) -> R {
        self.here().irqs_off.fetch_add(1, Ordering::Relaxed);
        let result = f();
        self.here().irqs_off.fetch_sub(1, Ordering::Relaxed);
        result
    }

    pub(crate) fn ipis(&self) -> usize {
        let sent = |event: &Event| match event {
            Event::Ipi(targets) => targets.len(),
            _ => 0,
        };
        self.journal.take().iter().map(sent).sum()
    }
}

/// The set of these CPUs.
pub(crate) fn cpu_set(cpus: impl IntoIterator<Item = u32>) -> CpuSet<1> {
    let mut set = CpuSet::EMPTY;
    for cpu in cpus {
        set.insert(tlb_shootdown::cpu_set::CpuId::new(cpu));
    }
    set
}
