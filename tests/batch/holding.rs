//! Memory that a batch holds, and spaces that it keeps from ending.

use crate::support::{Answer, FakeTlb, Machine, Sink, leaf};
use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::batch::{AddError, Gather, GatherError, Reclaim};
use tlb_shootdown::error::Refused;
use tlb_shootdown::secondary::{AttachKey, Needs};
use tlb_shootdown::ticket::Frames;

#[test]
fn promise_04_frames_come_free_when_the_batch_is_flushed() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    let sink = Sink::new();
    let mut batch = Reclaim::<_, 1, 2, _>::holding(engine, Frames::inline::<4>(sink));
    batch.add(space, leaf(7)).unwrap();
    batch.held().push(Sink::frame(0x1000)).unwrap();
    batch.held().push(Sink::table(0x2000)).unwrap();
    assert_eq!(sink.released(), (0, 0));
    batch.flush().unwrap();
    assert_eq!(sink.released(), (1, 1));
    // It can be used again.
    batch.add(space, leaf(8)).unwrap();
    batch.held().push(Sink::frame(0x3000)).unwrap();
    batch.flush().unwrap();
    assert_eq!(sink.released(), (2, 1));
}

/// Nothing was added for it: nobody can hold it.
#[test]
fn frames_of_an_empty_batch_come_free_at_once() {
    let (_, engine) = Machine::new(1, true);
    let sink = Sink::new();
    let mut batch = Reclaim::<_, 1, 2, _>::holding(engine, Frames::inline::<1>(sink));
    batch.held().push(Sink::frame(0x1000)).unwrap();
    batch.flush().unwrap();
    assert_eq!(sink.released(), (1, 0));
}

#[test]
fn promise_04_dropped_batch_flushes_first() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    machine.unmap(space, 7);
    let sink = Sink::new();
    let mut batch = Reclaim::<_, 1, 2, _>::holding(engine, Frames::inline::<1>(sink));
    batch.add(space, leaf(7)).unwrap();
    batch.held().push(Sink::frame(0x1000)).unwrap();
    drop(batch);
    assert_eq!(machine.cached(space, 7), [None; 2]);
    assert_eq!(sink.released(), (1, 0));
}

/// Nobody answers: quarantine, with the name of who did not, and the space never ends.
#[test]
fn promise_04_dropped_batch_that_is_not_answered_goes_to_quarantine() {
    let (machine, engine) = Machine::booting(2, false, 50);
    for cpu in 0..2 {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    let sink = Sink::new();
    let mut batch = Reclaim::<_, 1, 2, _>::holding(engine, Frames::inline::<1>(sink));
    batch.add(space, leaf(7)).unwrap();
    batch.held().push(Sink::frame(0x1000)).unwrap();
    drop(batch);
    assert_eq!(sink.released(), (0, 0));
    let quarantined = sink.quarantined.lock().unwrap();
    assert_eq!(quarantined[0].0, [Sink::frame(0x1000)]);
    assert_eq!(quarantined[0].1.cpus, crate::support::cpu_set([1]));
    assert_eq!(engine.stats().quarantined, 1);
    machine.set_auto(1, true);
    assert_eq!(engine.retire(space).err(), Some(Refused::Deferred));
}

/// A space of which a batch holds a change is not retired, and one that is retired takes none.
#[test]
fn promise_07_recorded_space_cannot_be_retired() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    let mut one = Reclaim::<_, 1, 2>::new(engine);
    let mut other = Reclaim::<_, 1, 2>::new(engine);
    one.add(space, leaf(7)).unwrap();
    other.add(space, leaf(8)).unwrap();
    assert_eq!(engine.retire(space).err(), Some(Refused::Deferred));
    one.flush().unwrap();
    assert_eq!(engine.retire(space).err(), Some(Refused::Deferred));
    other.flush().unwrap();
    assert!(engine.retire(space).unwrap().wait().is_ok());
    let refused = AddError::Refused(Refused::Retired);
    assert_eq!(one.add(space, leaf(7)), Err(refused));
    assert!(one.is_empty());
}

/// A device that is told at once does not answer: what was handed over with the change stays held until it has.
#[test]
fn promise_04_memory_waits_for_the_device_that_did_not_answer_at_add() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    let iommu = FakeTlb::new(machine, "iommu", Needs::AT_ADD);
    let _attached = engine.attach(space, iommu, AttachKey(1)).unwrap();
    iommu.start_walks(1);
    iommu.read(1, 7);
    iommu.answer(Answer::Never);
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    machine.unmap(space, 7);
    let frame = Some(PhysAddr::new(0x7000));
    let error = gather.unmap(VirtAddr::new(0x7000), PageSize::KIB_4, frame);
    assert!(matches!(error, Err(GatherError::NotTold(_))));
    assert!(gather.finish().is_err());
    assert_eq!(sink.released(), (0, 0));
    iommu.answer(Answer::AtOnce);
    gather.finish().unwrap();
    assert_eq!(iommu.read(1, 7), None, "gone");
    assert_eq!(sink.released(), (1, 0));
}
