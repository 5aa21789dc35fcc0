//! Who is reached, and who is left alone.

mod support;

use support::{Event, FakeTlb, Machine, cpu_set, kernel_page, leaf, pages};
use tlb_shootdown::address::{PageSize, RangeError, VirtAddr};
use tlb_shootdown::arch::{JoinError, Reach};
use tlb_shootdown::error::{FlushError, Refused, SwitchError};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Needs};

fn kernel_tlb(machine: &Machine) -> Vec<usize> {
    machine
        .cpus
        .iter()
        .map(|cpu| cpu.tlb.lock().unwrap().len())
        .collect()
}

#[test]
fn promise_03_before_the_other_cpus_start_every_flush_is_local() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::booting(4, broadcasts, 50);
        let space = machine.new_space();
        // Before the boot CPU has announced itself, and after.
        for _ in 0..2 {
            machine.journal.take();
            engine.flush_kernel_range(kernel_page(1)).unwrap();
            engine.flush_all().unwrap();
            engine.flush_kernel_tables(kernel_page(1)).unwrap();
            engine.flush(space, leaf(7)).unwrap();
            engine.sync_lockless_walkers().unwrap();
            for event in machine.journal.take() {
                assert!(!matches!(
                    event,
                    Event::Ipi(_) | Event::Issue(Reach::Broadcast)
                ));
            }
            engine.cpu_online().unwrap();
            machine.run_on(space, [0], 7);
        }
    }
}

#[test]
fn promise_03_space_that_ran_here_alone_is_flushed_here_alone() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(4, broadcasts);
        let space = machine.new_space();
        machine.map(space, 7, 1);
        machine.run_on(space, [0], 7);
        machine.journal.take();
        engine.flush(space, leaf(7)).unwrap();
        let events = machine.journal.take();
        assert!(events.contains(&Event::Issue(Reach::Local)));
        assert!(!events.iter().any(|e| matches!(e, Event::Ipi(_))));
        assert_eq!(machine.cached(space, 7)[0], None);
        // From another CPU it is the first one that must be reached.
        machine.run_on(space, [0], 7);
        machine.on(3, || engine.flush(space, leaf(7)).unwrap());
        assert_eq!(machine.cached(space, 7)[0], None);
    }
}

#[test]
fn promise_03_only_cpus_that_ran_the_space_are_interrupted() {
    let (machine, engine) = Machine::new(5, false);
    let space = machine.new_space();
    machine.run_on(space, [0, 2, 4], 7);
    machine.journal.take();
    engine.flush(space, Flush::pages(pages(1, 3))).unwrap();
    assert!(machine.journal.take().contains(&Event::Ipi(vec![2, 4])));
}

#[test]
fn space_that_never_ran_costs_one_barrier() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let cost = engine.flush_space(space).unwrap();
    assert_eq!((cost.store_barriers, cost.invalidations), (1, 0));
}

#[test]
fn space_without_devices_calls_none() {
    let (machine, engine) = Machine::new(2, true);
    let (with, without) = (machine.new_space(), machine.new_space());
    let tlb = FakeTlb::new(machine, "A", Needs::UPGRADES);
    let _attached = engine.attach(with, tlb, AttachKey(1)).unwrap();
    let calls = tlb.calls();
    engine.flush(without, leaf(7)).unwrap();
    engine.flush_upgrade(without, leaf(7)).unwrap();
    engine.flush_kernel_range(kernel_page(1)).unwrap();
    assert_eq!(tlb.calls(), calls);
}

#[test]
fn promise_03_kernel_flush_reaches_every_cpu_and_tells_no_device() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(3, broadcasts);
        let space = machine.new_space();
        let tlb = FakeTlb::new(machine, "A", Needs::UPGRADES | Needs::KERNEL_TABLES);
        let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
        engine.register_instance(tlb).unwrap();
        for cpu in &machine.cpus {
            for page in 1..=2 {
                let page = kernel_page(page).first().raw() >> 12;
                cpu.tlb.lock().unwrap().insert((u64::MAX, page), 1);
            }
        }
        engine.flush_kernel_range(kernel_page(1)).unwrap();
        assert_eq!(kernel_tlb(machine), [1, 1, 1]);
        engine.flush_all().unwrap();
        assert_eq!(kernel_tlb(machine), [0, 0, 0]);
        assert!(tlb.queued().is_empty());
    }
}

#[test]
fn promise_08_freed_kernel_tables_are_told_to_each_instance_once() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        let caches = FakeTlb::new(machine, "A", Needs::KERNEL_TABLES);
        let caches_too = FakeTlb::new(machine, "B", Needs::KERNEL_TABLES);
        let does_not = FakeTlb::new(machine, "C", Needs::UPGRADES);
        for tlb in [caches, caches_too, does_not] {
            engine.register_instance(tlb).unwrap();
        }
        let spaces = [machine.new_space(), machine.new_space()];
        for space in spaces {
            let _attached = engine
                .attach(space, caches, AttachKey(space.id().raw()))
                .unwrap();
        }
        caches.be_full(2);
        engine.flush_kernel_tables(kernel_page(1)).unwrap();
        let told = [caches, caches_too, does_not].map(|tlb| tlb.queued().len());
        assert_eq!(told, [1, 1, 0]);
    }
}

#[test]
fn promise_04_lockless_walkers_are_held_off_by_a_round() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::booting(3, broadcasts, 20);
        for cpu in 0..3 {
            machine.on(cpu, || engine.cpu_online().unwrap());
        }
        machine.journal.take();
        let cost = engine.sync_lockless_walkers().unwrap();
        assert_eq!((cost.ipis, cost.invalidations), (2, 0));
        machine.set_auto(2, false);
        let Err(FlushError::Incomplete(error)) = engine.sync_lockless_walkers() else {
            panic!("CPU 2 has not answered");
        };
        assert_eq!(error.cpus, cpu_set([2]));
    }
}

#[test]
fn cpus_beyond_the_capacity_are_refused_everywhere() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        let space = machine.new_space();
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
        let refused = Refused::UnknownCpu;
        machine.on(64, || {
            assert_eq!(engine.cpu_online(), Err(JoinError::UnknownCpu));
            assert_eq!(engine.switch_to(space), Err(SwitchError::Refused(refused)));
            assert_eq!(
                engine.flush(space, leaf(7)),
                Err(FlushError::Refused(refused))
            );
            assert_eq!(engine.flush_all(), Err(FlushError::Refused(refused)));
            let tables = engine.flush_kernel_tables(kernel_page(1));
            assert_eq!(tables, Err(FlushError::Refused(refused)));
            assert_eq!(
                engine.sync_lockless_walkers(),
                Err(FlushError::Refused(refused))
            );
            assert_eq!(engine.retire(space).err(), Some(refused));
            engine.on_ipi();
        });
        // Nothing was done to the space.
        engine.flush(space, leaf(7)).unwrap();
        assert_eq!(machine.cached(space, 7), [None, None]);
    }
}

#[test]
fn cpu_that_is_not_online_runs_no_space() {
    let (machine, engine) = Machine::booting(2, true, 50);
    let space = machine.new_space();
    let refused = SwitchError::Refused(Refused::UnknownCpu);
    assert_eq!(engine.switch_to(space), Err(refused));
    engine.cpu_online().unwrap();
    engine.switch_to(space).unwrap();
    engine.cpu_offline();
    assert_eq!(engine.switch_to(space), Err(refused));
}

#[test]
fn addresses_of_the_wrong_half_are_refused() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let refused = FlushError::Refused(Refused::Range(RangeError::NonCanonical));
    let high = VirtAddr::new(u64::MAX);
    assert_eq!(
        engine.flush(space, Flush::pages(kernel_page(1))),
        Err(refused)
    );
    assert_eq!(
        engine.flush_page(space, high, PageSize::KIB_4),
        Err(refused)
    );
    assert_eq!(engine.flush_kernel_range(pages(1, 1)), Err(refused));
    assert_eq!(engine.flush_kernel_tables(pages(1, 1)), Err(refused));
    let fixed = engine.fix_spurious_fault(space, high, PageSize::KIB_4);
    assert_eq!(fixed, Err(Refused::Range(RangeError::NonCanonical)));
}
