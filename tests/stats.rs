//! The counters agree with what the tickets said.

mod support;

use support::{Event, FakeTlb, Machine, kernel_page, leaf};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::{AttachKey, Needs};

#[test]
fn stats_are_the_sum_of_the_costs_and_the_costs_are_what_was_issued() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(3, broadcasts);
        let space = machine.new_space();
        machine.run_on(space, [0, 1], 7);
        let tlb = FakeTlb::new(machine, "A", Needs::all());
        let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
        engine.register_instance(tlb).unwrap();
        machine.journal.take();
        let mut costs = vec![
            engine.flush(space, leaf(7)).unwrap(),
            machine.on(1, || engine.flush_upgrade(space, leaf(8)).unwrap()),
            machine.on(2, || engine.flush_kernel_range(kernel_page(1)).unwrap()),
            engine.flush_kernel_tables(kernel_page(2)).unwrap(),
            engine.sync_lockless_walkers().unwrap(),
        ];
        costs.push(engine.detach(space, attached).unwrap());
        costs.push(engine.retire(space).unwrap().wait().unwrap());
        let mut sum = Cost::ZERO;
        costs.iter().for_each(|cost| sum += *cost);
        let events = machine.journal.take();
        let stats = engine.stats();
        assert_eq!(stats.completed, costs.len() as u64);
        let told = [
            (stats.store_barriers, sum.store_barriers),
            (stats.invalidations, sum.invalidations),
            (stats.completion_barriers, sum.completion_barriers),
            (stats.ipis, sum.ipis),
            (stats.commands, sum.commands),
            (stats.syncs, sum.syncs),
            (stats.doorbells, sum.doorbells),
        ];
        for (stats, costs) in told {
            assert_eq!(stats, u64::from(costs));
        }
        let count = |wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(e)).count();
        let barriers = count(|e| matches!(e, Event::StoreBarrier));
        assert_eq!(barriers, sum.store_barriers as usize);
        let interrupts: usize = events.iter().map(interrupted).sum();
        assert_eq!(interrupts, sum.ipis as usize);
        assert_eq!(tlb.queued().len(), sum.commands as usize);
        assert!(sum.commands > 0 && sum.doorbells > 0 && sum.syncs > 0);
    }
}

fn interrupted(event: &Event) -> usize {
    match event {
        Event::Ipi(targets) => targets.len(),
        _ => 0,
    }
}

#[test]
fn spaces_dropped_without_retirement_are_counted() {
    let (_machine, engine) = Machine::new(1, true);
    let leaked = tlb_shootdown::stats::spaces_leaked;
    drop(engine.new_space());
    assert_eq!(leaked(), 0, "nobody has seen it");
    let space = engine.new_space();
    engine.switch_to(&space).unwrap();
    drop(space);
    assert_eq!(leaked(), 1);
    let space = engine.new_space();
    engine.switch_to(&space).unwrap();
    engine.retire(&space).unwrap().wait().unwrap();
    drop(space);
    assert_eq!(leaked(), 1);
}
