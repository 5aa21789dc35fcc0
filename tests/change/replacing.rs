//! Break-before-make: the old entry is gone from everywhere before the new one is stored.

use crate::support::{Answer, FakeTlb, Machine, Space, leaf, page, pages};
use std::cell::RefCell;
use tlb_shootdown::change::ReplaceStep;
use tlb_shootdown::error::FlushError;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Needs};

const OLD: u64 = 1;
const NEW: u64 = 2;

/// Page 7 of a process that two CPUs run and a device shares.
fn shared(machine: &'static Machine, answer: Answer) -> (&'static Space, &'static FakeTlb) {
    let space = machine.new_space();
    let key = space.id().raw();
    machine.map(space, 7, OLD);
    machine.run_on(space, [0, 1], 7);
    let tlb = FakeTlb::new(machine, "A", Needs::empty());
    let _attached = machine
        .engine()
        .attach(space, tlb, AttachKey(key))
        .expect("the first");
    tlb.start_walks(key);
    assert_eq!(tlb.read(key, 7), Some(OLD));
    tlb.answer(answer);
    (space, tlb)
}

#[test]
fn promise_08_nobody_holds_the_old_entry_when_the_new_one_is_stored() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        let (space, tlb) = shared(machine, Answer::After(3));
        let key = space.id().raw();
        let steps = RefCell::new(vec![]);
        let store = |step| {
            steps.borrow_mut().push(step);
            match step {
                ReplaceStep::Invalidate => machine.unmap(space, 7),
                ReplaceStep::Store => {
                    assert_eq!(machine.cached(space, 7), [None, None]);
                    assert_eq!(tlb.read(key, 7), None);
                    machine.map(space, 7, NEW);
                }
            }
        };
        engine.replace(space, leaf(7), store).unwrap();
        assert_eq!(
            steps.into_inner(),
            [ReplaceStep::Invalidate, ReplaceStep::Store]
        );
        assert_eq!(tlb.queued().len(), 1, "one notice");
        machine.run_on(space, [0, 1], 7);
        assert_eq!(machine.cached(space, 7), [Some(NEW), Some(NEW)]);
        assert_eq!(tlb.read(key, 7), Some(NEW));
    }
}

/// A device that does not answer may still use the old page: the new entry is not stored.
#[test]
fn promise_04_an_incomplete_replacement_stays_invalid() {
    let (machine, engine) = Machine::new(2, true);
    let (space, tlb) = shared(machine, Answer::Never);
    let mut steps = vec![];
    let result = engine.replace(space, leaf(7), |step| steps.push(step));
    assert!(matches!(result, Err(FlushError::Incomplete(_))));
    assert_eq!(steps, [ReplaceStep::Invalidate]);
    assert_eq!(tlb.read(space.id().raw(), 7), Some(OLD));

    tlb.answer(Answer::AtOnce);
    steps.clear();
    engine
        .replace(space, leaf(7), |step| steps.push(step))
        .unwrap();
    assert_eq!(steps, [ReplaceStep::Invalidate, ReplaceStep::Store]);
}

#[test]
fn promise_08_a_refused_replacement_stays_invalid() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    engine.retire(space).unwrap().wait().ok().unwrap();
    let mut steps = vec![];
    let flush = Flush::pages(pages(7, 7));
    let result = engine.replace(space, flush, |step| steps.push(step));
    assert!(matches!(result, Err(FlushError::Refused(_))));
    assert_eq!(steps, [ReplaceStep::Invalidate], "at {:#x}", page(7));
}
