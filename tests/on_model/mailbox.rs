//! CPUs without broadcasts: requests by mailbox and interrupt, between host threads and on script.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::cpu_set::{CpuId, CpuSet};
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::error::{FlushError, Incomplete};
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{FrameSink, Frames, Item};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::{IpiScript, ModelBarriers, ModelPlatform, PlainArch};
use tlb_shootdown_model::{Model, Temper};

type Platform = ModelPlatform<PlainArch>;
type Engine = Shootdown<Platform, 1>;

const VA: u64 = 0x40_0000;

/// CPUs that all run one process.
struct Rig {
    model: Model,
    platform: Platform,
    engine: Engine,
    space: AddressSpace<PlainArch, 1>,
    tables: Tables,
}

impl Rig {
    fn new(cpus: usize, temper: Temper) -> Arc<Self> {
        let model = Model::new(cpus, temper);
        let platform = Platform::new(model.clone());
        let patience = Patience {
            nanoseconds: 10_000_000,
            // More than a thread of the host sleeps, and few enough that a failed test ends.
            turns: 5_000_000,
        };
        let arch = PlainArch::new(model.clone());
        let engine = Engine::with_patience(platform.clone(), arch, patience);
        let rig = Arc::new(Self {
            space: engine.new_space(),
            tables: model.tables(),
            model,
            platform,
            engine,
        });
        for cpu in 0..cpus {
            rig.platform.set_current(cpu);
            let _irqs_off = rig.platform.irq_save();
            rig.engine.cpu_online().unwrap();
            let id = rig.engine.switch_to(&rig.space).unwrap();
            rig.platform.load(rig.space.id(), rig.tables.root(), id);
        }
        rig.platform.set_current(0);
        rig
    }

    /// CPUs without a thread of their own take their interrupts while others spin.
    fn interrupt_idle_cpus(self: &Arc<Self>) {
        let handler = Arc::downgrade(self);
        self.platform.set_handler(move || {
            if let Some(rig) = handler.upgrade() {
                rig.engine.on_ipi();
            }
        });
    }

    fn map(&self, cpu: usize, va: u64) {
        let frame = self.model.allocate(0x1000);
        let mapping = Mapping::page(frame, Rights::ReadWrite);
        self.tables.map(cpu, va, mapping);
        let barriers = ModelBarriers::new(self.model.clone());
        tlb_shootdown::dma::DmaBarriers::publish_tables(&barriers);
        self.model.returned(self.tables.root(), va, va | 0xfff);
    }

    /// Every CPU has the page cached.
    fn touch(&self, cpus: usize, va: u64) {
        for cpu in 0..cpus {
            self.model.cpu(cpu).read(va).unwrap();
        }
    }

    fn flush(&self, va: u64) -> Result<(), FlushError<1>> {
        let page = VirtAddr::new(va);
        let flushed = self.engine.flush_page(&self.space, page, PageSize::KIB_4);
        flushed.map(|_| self.model.returned(self.tables.root(), va, va | 0xfff))
    }
}

/// One CPU of the tests with threads: unmaps its own pages, one after the other, while all CPUs use them.
fn initiator(rig: &Rig, me: usize, cpus: usize, rounds: u64, irqs_off: bool) {
    rig.platform.set_current(me);
    let va = VA + me as u64 * 0x1000;
    for _ in 0..rounds {
        rig.map(me, va);
        rig.touch(cpus, va);
        let frame = rig.tables.unmap(me, va).unwrap();
        let guard = irqs_off.then(|| rig.platform.irq_save());
        rig.flush(va).unwrap();
        rig.model.free(frame);
        drop(guard);
        for cpu in 0..cpus {
            assert!(rig.model.cpu(cpu).read(va).is_err());
        }
        if rig.platform.take_ipi() {
            rig.engine.on_ipi();
        }
    }
}

/// One initiator less when it ends, by a failed assertion as well: the others must not wait for it for ever.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs these initiators and lets every CPU answer until all of them are done.
fn run_threads(temper: Temper, initiators: usize, cpus: usize, irqs_off: bool) {
    let rig = Rig::new(cpus, temper);
    // Nobody is ever given up: how long a thread of the host sleeps is not the machine's time.
    rig.platform.set_clock(false);
    // The tables on the way are made before the threads start.
    rig.map(0, VA + 0x10_0000);
    let busy = AtomicUsize::new(initiators);
    thread::scope(|scope| {
        for me in 0..cpus {
            let (rig, busy) = (&rig, &busy);
            scope.spawn(move || {
                if me < initiators {
                    let _done = Done(busy);
                    initiator(rig, me, cpus, 30, irqs_off);
                }
                rig.platform.set_current(me);
                while busy.load(Ordering::SeqCst) != 0 {
                    if rig.platform.take_ipi() {
                        rig.engine.on_ipi();
                    }
                    thread::yield_now();
                }
            });
        }
    });
    assert_eq!(rig.model.violations(), [], "{temper:?}");
}

#[test]
fn promise_06_two_cpus_that_shoot_each_other_with_interrupts_off_both_return() {
    for temper in [Temper::Late, Temper::Seeded(1), Temper::Seeded(2)] {
        run_threads(temper, 2, 2, true);
    }
}

#[test]
fn promise_03_two_initiators_and_two_bystanders_leave_nothing_stale() {
    for temper in [Temper::Late, Temper::Seeded(3), Temper::Seeded(4)] {
        run_threads(temper, 2, 4, false);
    }
}

#[test]
fn promise_03_without_an_answer_the_other_cpu_is_stale() {
    let rig = Rig::new(2, Temper::Late);
    rig.map(0, VA);
    rig.touch(2, VA);
    rig.tables.unmap(0, VA);
    rig.platform.script_ipis(1, IpiScript::Lose);
    rig.interrupt_idle_cpus();
    let incomplete = match rig.flush(VA) {
        Err(FlushError::Incomplete(incomplete)) => incomplete,
        other => panic!("a lost interrupt was not noticed: {other:?}"),
    };
    assert_eq!(incomplete.cpus, CpuSet::of(CpuId::new(1)));
    assert!(rig.model.cpu(0).read(VA).is_err());
    assert!(rig.model.cpu(1).read(VA).is_ok());
}

#[test]
fn promise_03_a_late_interrupt_is_waited_for() {
    let rig = Rig::new(3, Temper::Late);
    rig.map(0, VA);
    rig.touch(3, VA);
    rig.tables.unmap(0, VA);
    rig.platform.script_ipis(1, IpiScript::Delay(50));
    rig.platform.script_ipis(2, IpiScript::Delay(5));
    rig.interrupt_idle_cpus();
    rig.flush(VA).unwrap();
    for cpu in 0..3 {
        assert!(rig.model.cpu(cpu).read(VA).is_err());
    }
    assert_eq!(rig.model.take_counts().ipis, 2);
    assert_eq!(rig.model.violations(), []);
}

/// Notes what is released and what is kept.
#[derive(Default)]
struct Ledger {
    released: AtomicUsize,
    kept: AtomicUsize,
}

impl FrameSink<1> for Ledger {
    fn release_frame(&self, _base: PhysAddr, _size: PageSize) {
        self.released.fetch_add(1, Ordering::Relaxed);
    }

    fn release_table(&self, _base: PhysAddr) {}

    fn quarantine(&self, items: &[Item], _error: &Incomplete<1>) {
        self.kept.fetch_add(items.len(), Ordering::Relaxed);
    }
}

#[test]
fn promise_04_a_lost_interrupt_frees_nothing_until_it_is_sent_again() {
    let rig = Rig::new(2, Temper::Late);
    rig.map(0, VA);
    rig.touch(2, VA);
    let base = PhysAddr::new(rig.tables.unmap(0, VA).unwrap());
    rig.platform.script_ipis(1, IpiScript::Lose);
    rig.interrupt_idle_cpus();
    let ledger = Ledger::default();
    let mut frames = Frames::inline::<1>(&ledger);
    let size = PageSize::KIB_4;
    frames.push(Item::Frame { base, size }).unwrap();
    let page = tlb_shootdown::flush::Flush::page(VirtAddr::new(VA), size);
    let ticket = rig.engine.start(&rig.space, page).unwrap();
    let Err(unfinished) = ticket.holding(frames).wait() else {
        panic!("a lost interrupt was not noticed");
    };
    assert_eq!(ledger.released.load(Ordering::Relaxed), 0);
    let mut ticket = unfinished.ticket;
    rig.platform.script_ipis(1, IpiScript::Deliver);
    ticket.escalate();
    assert!(ticket.wait().is_ok());
    assert_eq!(ledger.released.load(Ordering::Relaxed), 1);
    assert_eq!(ledger.kept.load(Ordering::Relaxed), 0);
    assert!(rig.model.cpu(1).read(VA).is_err());
}
