//! Promise 9: an upgrade always tells the devices that need it; CPUs may be left to their fault handlers, where those repair.

mod support;

use std::sync::atomic::Ordering;
use support::{Event, FakeTlb, Machine, kernel_page, leaf, page};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::Reach;
use tlb_shootdown::secondary::{AttachKey, Needs};

#[test]
fn promise_09_without_repair_an_upgrade_reaches_every_cpu() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        let space = machine.new_space();
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
        engine.flush_upgrade(space, leaf(7)).unwrap();
        assert_eq!(machine.cached(space, 7), [None, None]);
    }
}

#[test]
fn promise_09_with_repair_an_upgrade_of_user_pages_stays_local() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        machine.repairs.store(true, Ordering::Relaxed);
        let space = machine.new_space();
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
        machine.journal.take();
        engine.flush_upgrade(space, leaf(7)).unwrap();
        let events = machine.journal.take();
        assert!(events.contains(&Event::Issue(Reach::Local)));
        assert!(!events.iter().any(|e| matches!(e, Event::Ipi(_))));
        assert_eq!(machine.cached(space, 7), [None, Some(1)]);
        // What is wider than an upgrade goes everywhere all the same.
        engine.flush(space, leaf(7)).unwrap();
        assert_eq!(machine.cached(space, 7), [None, None]);
    }
}

#[test]
fn promise_09_devices_that_need_upgrades_are_told_with_and_without_repair() {
    for repairs in [true, false] {
        let (machine, engine) = Machine::new(2, true);
        machine.repairs.store(repairs, Ordering::Relaxed);
        let space = machine.new_space();
        let key = space.id().raw();
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
        let needs = FakeTlb::new(machine, "A", Needs::UPGRADES);
        let rewalks = FakeTlb::new(machine, "B", Needs::empty());
        for tlb in [needs, rewalks] {
            let _attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
            tlb.start_walks(key);
            tlb.read(key, 7);
        }
        machine.map(space, 7, 2);
        engine.flush_upgrade(space, leaf(7)).unwrap();
        assert_eq!(needs.read(key, 7), Some(2));
        assert!(rewalks.queued().is_empty());
        engine.flush(space, leaf(7)).unwrap();
        assert_eq!(rewalks.queued().len(), 1);
    }
}

/// A broadcast that an IOMMU snoops is also its notice: then the upgrade is broadcast, repair or not.
#[test]
fn promise_09_snooping_iommu_makes_an_upgrade_broadcast() {
    let (machine, engine) = Machine::new(2, true);
    machine.repairs.store(true, Ordering::Relaxed);
    let space = machine.new_space();
    machine.run_on(space, [0], 7);
    let needs = Needs::UPGRADES | Needs::SNOOPS_BROADCASTS;
    let snooper = FakeTlb::new(machine, "S", needs);
    let _attached = engine.attach(space, snooper, AttachKey(1)).unwrap();
    machine.journal.take();
    engine.flush_upgrade(space, leaf(7)).unwrap();
    let events = machine.journal.take();
    assert!(events.contains(&Event::Issue(Reach::Broadcast)));
    assert!(events.contains(&Event::Queue("S")));
}

#[test]
fn promise_09_kernel_mappings_are_never_left_to_repair() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        machine.repairs.store(true, Ordering::Relaxed);
        for cpu in &machine.cpus {
            cpu.tlb
                .lock()
                .unwrap()
                .insert((u64::MAX, kernel_page(7).first().raw() >> 12), 1);
        }
        engine.flush_kernel_range(kernel_page(7)).unwrap();
        for cpu in &machine.cpus {
            assert!(cpu.tlb.lock().unwrap().is_empty());
        }
    }
}

#[test]
fn promise_09_spurious_fault_is_repaired_here_and_nowhere_else() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        let space = machine.new_space();
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
        let tlb = FakeTlb::new(machine, "A", Needs::UPGRADES);
        let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
        machine.journal.take();
        machine.on(1, || {
            engine
                .fix_spurious_fault(space, page(7), PageSize::KIB_4)
                .unwrap();
        });
        assert_eq!(machine.ipis(), 0);
        assert_eq!(machine.cached(space, 7), [Some(1), None]);
        assert!(tlb.queued().is_empty());
    }
}
