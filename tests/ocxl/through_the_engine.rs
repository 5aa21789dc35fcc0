//! The engine drives a link like any other secondary TLB, from the attach to the end of the space.

use crate::fake::{Bench, Event, Manners, WHOLE};
use crate::support::{Engine, Machine, Sink, Space, leaf, page, pages};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::error::{AttachError, FlushError};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::ocxl::Config;
use tlb_shootdown::notifier::Attachment;
use tlb_shootdown::secondary::{AttachKey, SecondaryError};
use tlb_shootdown::ticket::Frames;

struct Stage {
    machine: &'static Machine,
    engine: &'static Engine,
    space: &'static Space,
    bench: &'static Bench,
    key: AttachKey,
    attachment: Attachment,
}

impl Stage {
    fn new(bench: Bench) -> Self {
        let (machine, engine) = Machine::new(2, true);
        let space = machine.new_space();
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
        let bench: &'static Bench = Box::leak(Box::new(bench));
        let key = bench.reserve(0x42, &[5]).unwrap();
        let attachment = engine.attach(space, &bench.link, key).unwrap();
        bench.link.install(key).unwrap();
        Self {
            machine,
            engine,
            space,
            bench,
            key,
            attachment,
        }
    }

    /// What the device sees at a page of 4 KiB: what the nest MMU holds, else what the walk finds.
    fn device_read(&self, number: u64) -> Option<u64> {
        let mut inner = self.bench.unit.inner();
        inner.access(5);
        let tag = (0x42, number << 12, 0);
        if let Some(entry) = inner.nest.get(&tag) {
            return Some(*entry);
        }
        let entry = self.machine.table_entry(self.space.id().raw(), number)?;
        inner.nest.insert(tag, entry);
        Some(entry)
    }
}

/// With the negative control: without the flush the device sees the old entry.
#[test]
fn promise_03_a_flush_reaches_the_nest_mmu() {
    let stage = Stage::new(Bench::usual());
    assert_eq!(stage.device_read(7), Some(1));
    stage.machine.map(stage.space, 7, 2);
    assert_eq!(stage.device_read(7), Some(1), "stale without a flush");
    let cost = stage.engine.flush(stage.space, leaf(7)).unwrap();
    assert_eq!(stage.device_read(7), Some(2));
    assert_eq!((cost.commands, cost.doorbells, cost.syncs), (1, 1, 0));
    stage.bench.unit.assert_rules_kept();
}

#[test]
fn promise_09_an_upgrade_reaches_the_nest_mmu() {
    let stage = Stage::new(Bench::usual());
    stage.device_read(7);
    stage.machine.map(stage.space, 7, 3);
    stage.engine.flush_upgrade(stage.space, leaf(7)).unwrap();
    assert_eq!(stage.device_read(7), Some(3));
    assert_eq!(stage.bench.unit.take_log().len(), 1);
}

#[test]
fn promise_11_ranges_and_spaces_cost_what_they_should() {
    let stage = Stage::new(Bench::usual());
    let sized = |flush: Flush| flush.leaf_only().leaf_size(PageSize::KIB_4);
    let of = |flush| stage.engine.flush(stage.space, flush).unwrap();
    let cost = of(sized(Flush::pages(pages(16, 19))));
    assert_eq!((cost.commands, cost.escalations), (4, 0));
    let cost = of(sized(Flush::pages(pages(16, 100))));
    assert_eq!((cost.commands, cost.escalations), (1, 1));
    let cost = of(Flush::all());
    assert_eq!((cost.commands, cost.escalations), (1, 0));
    let cost = of(Flush::page(page(512), PageSize::MIB_2));
    assert_eq!((cost.commands, cost.escalations), (1, 0));
}

/// The engine's deadline ends the wait, and names the place of the link; the next flush goes on where it stopped.
#[test]
fn promise_05_stat_that_does_not_clear_is_a_timeout_and_nothing_is_lost() {
    let stage = Stage::new(Bench::usual());
    stage.device_read(7);
    stage.bench.unit.inner().stalled = true;
    let Err(FlushError::Incomplete(late)) = stage.engine.flush(stage.space, leaf(7)) else {
        panic!("nobody has answered")
    };
    assert_eq!((late.secondaries, late.error), (1, None));
    assert_eq!(stage.device_read(7), Some(1));
    stage.bench.unit.inner().stalled = false;
    stage.engine.flush(stage.space, leaf(9)).unwrap();
    assert!(stage.bench.unit.inner().nest.is_empty());
    stage.bench.unit.assert_rules_kept();
}

/// All ones: typed as the link's failure.
#[test]
fn promise_04_a_link_that_nobody_answers_for_is_an_error() {
    let stage = Stage::new(Bench::usual());
    stage.bench.unit.inner().dead = true;
    let Err(FlushError::Incomplete(lost)) = stage.engine.flush(stage.space, leaf(7)) else {
        panic!("nobody has answered")
    };
    assert_eq!(lost.error, Some(SecondaryError::Failed));
}

/// STAT does not clear: frames stay owned, and come free when it does.
#[test]
fn promise_04_frames_stay_owned_until_stat_clears() {
    let stage = Stage::new(Bench::usual());
    let sink = Sink::new();
    stage.bench.unit.inner().stalled = true;
    let mut frames = Frames::inline::<1>(sink);
    frames.push(Sink::frame(0x7000)).unwrap();
    let ticket = stage.engine.start(stage.space, leaf(7)).unwrap();
    let mut ticket = ticket.holding(frames);
    let mut polls = 0;
    while ticket.poll().is_pending() && polls < 100 {
        polls += 1;
    }
    assert_eq!((polls, sink.released()), (100, (0, 0)));
    stage.bench.unit.inner().stalled = false;
    assert!(ticket.poll().is_ready());
    assert_eq!(sink.released(), (1, 0));
}

/// The root comes free when the device has let go, and the nest MMU holds nothing of it.
#[test]
fn promise_10_retire_waits_for_the_device() {
    for bench in [Bench::usual(), Bench::snooping(Config::power9())] {
        let stage = Stage::new(bench);
        let unit = &stage.bench.unit;
        unit.inner().manners.insert(5, Manners::After(4));
        stage.device_read(7);
        let sink = Sink::new();
        let mut root = Frames::inline::<1>(sink);
        root.push(Sink::table(0x1000)).unwrap();
        let mut ticket = stage.engine.retire(stage.space).unwrap().holding(root);
        assert_eq!(unit.inner().log.first(), Some(&Event::Terminate(5)));
        // The device is still at it, and fills the nest MMU anew behind the CPUs' flush.
        unit.inner().nest.clear();
        stage.device_read(7);
        assert!(ticket.poll().is_pending());
        assert_eq!(sink.released(), (0, 0));
        ticket.wait().unwrap();
        assert_eq!(sink.released(), (0, 1));
        assert!(unit.inner().nest.is_empty());
        stage.bench.link.detach(stage.key, &mut || true).unwrap();
        unit.assert_rules_kept();
    }
}

/// The device never lets go: typed, the element in place, still told of flushes, and nobody else held up.
#[test]
fn promise_04_a_detach_from_a_device_that_does_not_let_go_is_a_timeout() {
    let stage = Stage::new(Bench::usual());
    let unit = &stage.bench.unit;
    unit.inner().manners.insert(5, Manners::Never);
    let detach = || stage.engine.detach(stage.space, stage.attachment);
    assert_eq!(detach(), Err(AttachError::Timeout));
    unit.inner().access(5);
    stage.device_read(7);
    stage.machine.map(stage.space, 7, 2);
    stage.engine.flush(stage.space, leaf(7)).unwrap();
    assert_eq!(stage.device_read(7), Some(2));
    unit.inner().manners.clear();
    unit.take_log();
    detach().unwrap();
    let expected = [Event::Terminated(5), Event::ClearPe(5), WHOLE];
    assert_eq!(unit.take_log(), expected);
    unit.assert_rules_kept();
}

/// A flush is under way when its link is detached: it completes, and is told apart from the link's own invalidation.
#[test]
fn promise_05_a_detach_during_a_flush_completes_both() {
    let stage = Stage::new(Bench::usual());
    let unit = &stage.bench.unit;
    unit.inner().slow = 3;
    stage.device_read(7);
    let flush = stage.engine.start(stage.space, leaf(7)).unwrap();
    let detach = || stage.engine.detach(stage.space, stage.attachment).unwrap();
    stage.machine.on(1, detach);
    flush.wait().unwrap();
    assert!(unit.inner().nest.is_empty());
    stage.bench.link.detach(stage.key, &mut || true).unwrap();
    unit.assert_rules_kept();
}
