//! What a batch costs on each architecture, beside Linux (`perf.md`'s rows: 32 pages).

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::arch::Arch;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{self, Aarch64};
use tlb_shootdown::arch::powerpc::{self, PowerPc};
use tlb_shootdown::arch::x86_64::{self, X86_64};
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown_model::recorder;

const PAGES: u64 = 32;

/// A host that plays one CPU at a time; who is interrupted answers when somebody spins.
struct Host<A> {
    cpu: AtomicU32,
    answer: OnceLock<Box<dyn Fn() + Send + Sync>>,
    arch: PhantomData<fn() -> A>,
}

// SAFETY: one thread; nobody is pinned.
unsafe impl<A: Arch> Platform for Host<A> {
    type Arch = A;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(self.cpu.load(Ordering::Relaxed))
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _: CpuMask<'_>) {}

    fn relax(&self) {
        if let Some(answer) = self.answer.get() {
            answer();
        }
    }
}

type Engine<A> = Shootdown<Host<A>, 1>;

/// What differs between the architectures' machines.
struct Machine<A> {
    arch: A,
    seal: fn(&A),
    become_cpu: fn(u32),
    forget: fn(&A),
}

/// So many spaces, all run by CPUs 0 and 1, and the last of them still; 32 pages of them are reclaimed.
fn reclaim<A: Arch + Send + 'static>(
    machine: Machine<A>,
    spaces: usize,
) -> (&'static Engine<A>, Cost)
where
    A::Space: Send,
{
    let host = Host {
        cpu: AtomicU32::new(0),
        answer: OnceLock::new(),
        arch: PhantomData,
    };
    let engine: &'static Engine<A> = Box::leak(Box::new(Shootdown::new(host, machine.arch)));
    let become_cpu = machine.become_cpu;
    let on = move |cpu| {
        become_cpu(cpu);
        engine.platform().cpu.store(cpu, Ordering::Relaxed);
    };
    let _ = engine.platform().answer.set(Box::new(move || {
        on(1);
        engine.on_ipi();
        on(0);
    }));
    for cpu in 0..2 {
        on(cpu);
        engine.cpu_online().unwrap();
    }
    (machine.seal)(engine.arch());
    let spaces: Vec<&'static _> = (0..spaces)
        .map(|_| &*Box::leak(Box::new(engine.new_space())))
        .collect();
    for space in &spaces {
        for cpu in [1, 0] {
            on(cpu);
            engine.switch_to(space).unwrap();
            engine.root_loaded();
        }
    }
    let mut batch = Reclaim::<_, 1, 32>::new(engine);
    for n in 0..PAGES {
        let space = spaces[n as usize % spaces.len()];
        let page = VirtAddr::new(0x4000_0000 + (n / spaces.len() as u64) * 0x1000);
        let flush = Flush::page(page, PageSize::KIB_4);
        batch.add(space, flush).unwrap();
    }
    (machine.forget)(engine.arch());
    (engine, batch.flush().unwrap())
}

/// Linux: 32 DSB ISHST and 1 DSB ISH. One range operation does for each space.
#[test]
fn promise_11_aarch64_pays_for_one_pair_of_barriers() {
    use recorder::aarch64::{Identification, Recorder};
    for (spaces, invalidations) in [(1, 1), (4, 4), (32, 32)] {
        let config = aarch64::Config::new(Granule::Kib4);
        let (engine, cost) = reclaim(
            Machine {
                arch: Aarch64::<_, 1>::new(Recorder::new(Identification::FULL), config),
                seal: Aarch64::seal_features,
                become_cpu: |_| {},
                forget: |arch| drop(arch.instructions().take()),
            },
            spaces,
        );
        let counted = (
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers,
        );
        assert_eq!(counted, (1, invalidations, 1), "{spaces} spaces");
        let executed = engine.arch().instructions().take();
        let names: Vec<_> = executed.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.first(), Some(&"dsb ishst"));
        assert_eq!(names.last(), Some(&"dsb ish"));
        assert_eq!(names.len() as u32, invalidations + 2, "and nothing else");
    }
}

/// Linux: 64 ptesync, 32 tlbie, 32 tlbsync.
#[test]
fn promise_11_power_pays_for_one_closing_sequence() {
    use recorder::powerpc::{POWER9, POWER10, Recorder};
    for (pvr, spaces, mended) in [
        (POWER10, 1, 0),
        (POWER10, 4, 0),
        (POWER10, 32, 0),
        (POWER9, 4, 1),
    ] {
        let config = powerpc::Config::hypervisor();
        let (engine, cost) = reclaim(
            Machine {
                arch: PowerPc::<_, 1>::new(Recorder::new(pvr), config),
                seal: |_| {},
                become_cpu: |_| {},
                forget: |arch| drop(arch.instructions().take()),
            },
            spaces,
        );
        let counted = (
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers,
        );
        let repeated = mended * (1 + spaces as u32);
        assert_eq!(
            counted,
            (1, 32 + repeated, 1 + 2 * mended),
            "{spaces} spaces"
        );
        let recorder = engine.arch().instructions();
        assert_eq!(recorder.count("tlbsync"), 1);
        assert_eq!(recorder.count("ptesync") as u32, 2 + 2 * mended);
    }
}

/// One interrupt, however many spaces: what the other CPU does not run at the moment it finds out when it runs it again, and of the one that
/// it runs it is told the pages. Linux: one interrupt and a full flush, for the pages are not known any more; one interrupt for each space
/// where pages are not deferred.
#[test]
fn promise_11_x86_64_interrupts_once() {
    use recorder::x86_64::{Identification, Recorder};
    for spaces in [1, 4, 32] {
        let (engine, cost) = reclaim(
            Machine {
                arch: X86_64::<_, 1>::new(
                    Recorder::new(Identification::FULL),
                    x86_64::Config::new(),
                ),
                seal: X86_64::seal_features,
                become_cpu: |cpu| Recorder::run_on(cpu as usize),
                forget: |arch| drop(arch.instructions().take()),
            },
            spaces,
        );
        assert_eq!((cost.ipis, cost.store_barriers), (1, 1), "{spaces} spaces");
        let executed = engine.arch().instructions().take();
        let count = |wanted| executed.iter().filter(|(name, _)| *name == wanted).count();
        assert_eq!(count("mov cr3"), 0, "{spaces} spaces");
        // Both CPUs run the last of the spaces.
        assert_eq!(count("invlpg"), 2 * 32 / spaces, "{spaces} spaces");
    }
}
