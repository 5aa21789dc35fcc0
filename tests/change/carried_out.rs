//! A decision says whom its call reaches: the engine is watched doing it, with two CPUs and a secondary TLB of each kind.

use crate::support::{FakeTlb, Machine, kernel_page, page};
use std::sync::atomic::Ordering;
use tlb_shootdown::address::{PageRange, PageSize};
use tlb_shootdown::change::{Call, Cpus, Decision, Reason, ReplaceStep, Told};
use tlb_shootdown::secondary::{AttachKey, Needs};
use tlb_shootdown::shootdown::UpgradeStep;

/// Who dropped the page, and who was told of it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    cpus: [bool; 2],
    /// Attached: one that needs upgrades, one that needs nothing. Registered: one that caches kernel tables.
    told: [bool; 3],
}

fn expected(decision: &Decision, repairs: bool) -> Seen {
    let cpus = match decision.cpus() {
        Cpus::None => [false, false],
        Cpus::This => [true, false],
        Cpus::AllUnlessRepaired => [true, !repairs],
        Cpus::All => [true, true],
    };
    let told = match decision.told() {
        Told::None => [false; 3],
        Told::Needing(Needs::UPGRADES) => [true, false, false],
        Told::Needing(Needs::KERNEL_TABLES) => [false, false, true],
        Told::Needing(other) => panic!("nobody has {other:?}"),
        Told::All => [true, true, false],
    };
    Seen { cpus, told }
}

fn is_of_kernel(call: Call) -> bool {
    matches!(call, Call::FlushKernel | Call::FlushKernelTables)
}

/// The pages that the reason is about: page 7 of the process, or of the kernel.
fn about(call: Call) -> PageRange {
    if is_of_kernel(call) {
        kernel_page(7)
    } else {
        PageRange::page(page(7), PageSize::KIB_4)
    }
}

fn carry_out(decision: &Decision, broadcasts: bool, repairs: bool) -> Seen {
    let (machine, engine) = Machine::new(2, broadcasts);
    machine.repairs.store(repairs, Ordering::Relaxed);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    let attached = [Needs::UPGRADES, Needs::empty()].map(|needs| FakeTlb::new(machine, "A", needs));
    for tlb in attached {
        let _attached = engine
            .attach(space, tlb, AttachKey(space.id().raw()))
            .unwrap();
    }
    let registered = FakeTlb::new(machine, "K", Needs::KERNEL_TABLES);
    engine.register_instance(registered).unwrap();
    let kernel_key = (u64::MAX, kernel_page(7).first().raw() >> 12);
    for cpu in &machine.cpus {
        cpu.tlb.lock().unwrap().insert(kernel_key, 1);
    }

    let pages = about(decision.call());
    let flush = decision.flush(pages, Some(PageSize::KIB_4));
    let cost = match decision.call() {
        Call::Nothing => Ok(Default::default()),
        Call::FixSpuriousFault => Ok(engine
            .fix_spurious_fault(space, page(7), PageSize::KIB_4)
            .unwrap()),
        Call::Upgrade => engine.upgrade(space, flush, |step| {
            assert_eq!(step, UpgradeStep::Widen);
        }),
        Call::Flush if decision.needs_invalid_between() => {
            let mut steps = vec![];
            let cost = engine.replace(space, flush, |step| steps.push(step));
            assert_eq!(steps, [ReplaceStep::Invalidate, ReplaceStep::Store]);
            cost
        }
        Call::Flush => engine.flush(space, flush),
        Call::FlushKernel => Ok(engine.start_kernel(flush).unwrap().wait().ok().unwrap()),
        Call::FlushKernelTables => engine.flush_kernel_tables(pages),
        Call::Retire => Ok(engine.retire(space).unwrap().wait().ok().unwrap()),
    };
    cost.unwrap();

    let id_and_page = (space.hardware().raw(), 7);
    let key = if is_of_kernel(decision.call()) {
        kernel_key
    } else {
        id_and_page
    };
    let dropped = |cpu: usize| !machine.cpus[cpu].tlb.lock().unwrap().contains_key(&key);
    let told = |tlb: &FakeTlb| !tlb.queued().is_empty();
    Seen {
        cpus: [dropped(0), dropped(1)],
        told: [told(attached[0]), told(attached[1]), told(registered)],
    }
}

#[test]
fn promise_03_the_engine_reaches_whom_the_decision_names() {
    for reason in Reason::ALL {
        let decision = Decision::on_any_machine(reason);
        for (broadcasts, repairs) in [(false, false), (false, true), (true, false), (true, true)] {
            let seen = carry_out(&decision, broadcasts, repairs);
            let name = format!("{reason:?}, broadcasts {broadcasts}, repairs {repairs}");
            assert_eq!(seen, expected(&decision, repairs), "{name}");
        }
    }
    let seen = carry_out(&Decision::NOTHING, false, false);
    assert_eq!(seen, expected(&Decision::NOTHING, false));
}
