//! Refused commands, failed fetches, silent devices, lost events: nothing is lost, and nobody is charged with another's error.

use crate::fake::{
    Bench, CAPABILITY, COMMAND_BASE, COMMAND_TAIL, FEATURES, Pace, WITHOUT_ALL, memory, turns,
};
use crate::flushing::{pages, poll_for, shoot, space, start};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::amd::{AttachError, Config, DeviceId, Event, Memory};
use tlb_shootdown::secondary::{AttachKey, Fence, Full, SecondaryError, SecondaryTlb};

const ALL: u64 = 0x7fff_ffff_ffff_f000;
const SILENT: Result<(), SecondaryError> = Err(SecondaryError::DeviceTimeout { device: 0x11 });

/// An IOMMU with two devices that have TLBs, and an address space on each.
fn two_devices(features: u64) -> (Bench, AttachKey, AttachKey) {
    let bench = Bench::new(features, Config::new(CAPABILITY), memory());
    bench.add_device(0x10, Some(32));
    bench.add_device(0x11, Some(32));
    let (a, b) = (bench.attach(&[(0x10, 1)]), bench.attach(&[(0x11, 2)]));
    (bench, a, b)
}

fn finish(bench: &Bench, fence: &mut Fence) -> Poll<Result<(), SecondaryError>> {
    poll_for(bench, fence, &mut Cost::default(), 2000)
}

/// The command in the middle is refused; it is covered, and the others run.
#[test]
fn promise_05_a_refused_command_stops_nobody() {
    for records in [true, false] {
        for pace in [Pace::AtRead(1), Pace::AtDoorbell] {
            let (bench, a, b) = two_devices(FEATURES);
            bench.fake.inner().records_halts = records;
            bench.fake.pace(Pace::Stalled);
            let mut fences = [
                start(&bench, a, 1),
                start(&bench, b, 2),
                start(&bench, a, 3),
            ];
            bench.fake.run(2);
            // Once for the command where it stands, and once more where no record says that it was refused.
            bench.fake.inner().illegal = vec![(3, if records { 1 } else { 2 })];
            bench.fake.pace(pace);
            bench.fake.run(1);
            for fence in &mut fences {
                assert_eq!(finish(&bench, fence), Poll::Ready(Ok(())));
            }
            let log = bench.fake.take_invalidations();
            let at = |words| log.iter().position(|&other| other == words);
            assert!(at([0x3000_0001_0000_0001, 0x1006]).is_some());
            let cover = at([0x8000_0000_0000_0000, 0]).expect("covered");
            assert!(at([0x3000_0002_0000_0002, 0x2006]).is_none());
            assert!(at([0x3000_0001_0000_0001, 0x3006]).is_some());
            let device = at([0x4002_0011_2000_0011, 0x2004]).expect("its device's TLB");
            assert!(cover < device);
            bench.fake.assert_rules_kept();
        }
    }
}

/// Without INVALIDATE_IOMMU_ALL, everything under the tags of the refused command covers it.
#[test]
fn promise_05_a_refused_command_is_covered_within_its_tags() {
    let (bench, a, _) = two_devices(WITHOUT_ALL);
    bench.fake.inner().illegal = vec![(3, 1)];
    let (result, cost) = shoot(&bench, &space(a, pages(0x1000, 0x2000)));
    assert_eq!(result, Ok(()));
    assert_eq!(cost.escalations, 1);
    assert_eq!(
        bench.fake.take_invalidations()[0],
        [0x3000_0001_0000_0001, ALL | 7]
    );
}

#[test]
fn promise_05_what_covers_nothing_stops_the_queue() {
    // The cover is refused as well; a refused COMPLETION_WAIT has none.
    for illegal in [vec![(3, 9), (8, 9)], vec![(1, 9)]] {
        let (bench, a, b) = two_devices(FEATURES);
        bench.fake.inner().illegal = illegal;
        let mut fence = start(&bench, a, 1);
        let stopped = Poll::Ready(Err(SecondaryError::QueueStopped));
        assert_eq!(finish(&bench, &mut fence), stopped);
        let mut later = start(&bench, b, 1);
        assert_eq!(finish(&bench, &mut later), stopped);
        let wait = &mut turns(&bench.lock, 100);
        let failed = AttachError::Failed(SecondaryError::QueueStopped);
        assert_eq!(bench.iommu.detach(a, wait), Err(failed));
    }
}

/// The head register is looked at after a halt alone, and the end of the buffer is its start.
#[test]
fn promise_05_a_halt_at_the_start_of_the_buffer() {
    for unwrapped in [false, true] {
        let (bench, a, _) = two_devices(FEATURES);
        bench.fake.inner().unwrapped_head = unwrapped;
        bench.add_device(0x12, None);
        let plain = bench.attach(&[(0x12, 3)]);
        let used = bench.fake.inner().register(crate::fake::COMMAND_TAIL) / 16;
        for _ in (used..252).step_by(2) {
            assert_eq!(
                shoot(&bench, &space(plain, pages(0x1000, 0x2000))).0,
                Ok(())
            );
        }
        assert_eq!(
            bench.fake.inner().register(crate::fake::COMMAND_TAIL),
            252 * 16
        );
        assert_eq!(bench.fake.inner().head_reads, 0);
        bench.fake.take_log();
        bench.fake.pace(Pace::Stalled);
        let mut fences = [2, 3, 4].map(|page| start(&bench, a, page));
        bench.fake.run(4);
        bench.fake.inner().illegal = vec![(3, 1)];
        bench.fake.pace(Pace::AtRead(1));
        for fence in &mut fences {
            assert_eq!(finish(&bench, fence), Poll::Ready(Ok(())));
        }
        let log = bench.fake.take_invalidations();
        assert!(log.contains(&[0x3000_0001_0000_0001, 0x2006]));
        assert!(log.contains(&[0x8000_0000_0000_0000, 0]));
        assert!(!log.contains(&[0x3000_0001_0000_0001, 0x4006]));
        bench.fake.assert_rules_kept();
    }
}

#[test]
fn promise_05_a_failed_fetch_is_tried_again() {
    let (bench, a, _) = two_devices(FEATURES);
    bench.fake.inner().fetch_errors = 5;
    let (result, cost) = shoot(&bench, &space(a, pages(0x1000, 0x2000)));
    assert_eq!(result, Ok(()));
    assert_eq!(cost.escalations, 0, "nothing was replaced");
    bench.fake.inner().fetch_errors = 100;
    let mut fence = start(&bench, a, 1);
    let stopped = Poll::Ready(Err(SecondaryError::QueueStopped));
    assert_eq!(finish(&bench, &mut fence), stopped, "but not for ever");
}

/// A start takes effect after a while; that is no second halt.
#[test]
fn promise_05_a_slow_start_is_waited_for() {
    let (bench, a, _) = two_devices(FEATURES);
    bench.fake.inner().inertia = 20;
    bench.fake.inner().illegal = vec![(3, 1)];
    let (result, cost) = shoot(&bench, &space(a, pages(0x1000, 0x2000)));
    assert_eq!((result, cost.escalations), (Ok(()), 1));
    bench.fake.assert_rules_kept();
}

/// Others' fences complete; those with an invalidation for it carry its name; and it reaches memory no more.
#[test]
fn promise_04_a_silent_device_is_named_and_cut_off() {
    for pace in [Pace::AtDoorbell, Pace::AtRead(1), Pace::AtRead(7)] {
        let (bench, a, b) = two_devices(FEATURES);
        bench.fake.inner().dead.insert(0x11);
        bench.fake.pace(Pace::Stalled);
        let mut theirs = start(&bench, a, 1);
        let mut its = start(&bench, b, 2);
        let mut later = start(&bench, a, 3);
        bench.fake.pace(pace);
        bench
            .fake
            .run(if pace == Pace::AtDoorbell { 100 } else { 1 });
        assert_eq!(finish(&bench, &mut its), Poll::Ready(SILENT));
        assert_eq!(finish(&bench, &mut theirs), Poll::Ready(Ok(())));
        assert_eq!(finish(&bench, &mut later), Poll::Ready(Ok(())));
        assert_eq!(bench.entry(0x11), [3, 0, 0, 0]);
        let log = bench.fake.take_invalidations();
        let asked = [0x4002_0011_2000_0011, ALL | 5];
        let at = |words| log.iter().position(|&other| other == words);
        let question = at(asked).expect("it was asked alone");
        assert!(at([0x2000_0000_0000_0011, 0]).expect("and cut off") > question);
        assert!(
            at([0x4001_0010_2000_0010, ALL | 5]).is_none(),
            "the other was not"
        );
        let contexts = [crate::fake::context(0x11, Some(3))];
        let refused = bench.iommu.reserve(&contexts, &crate::fake::process());
        assert_eq!(refused, Err(AttachError::Quarantined));
        // As long as an address space uses it, its fences carry its name.
        assert_eq!(shoot(&bench, &space(a, pages(0x1000, 0x2000))).0, Ok(()));
        assert_eq!(finish(&bench, &mut its), Poll::Ready(SILENT));
        bench.detach(b);
        assert_eq!(finish(&bench, &mut its), Poll::Ready(Ok(())));
        bench.fake.assert_rules_kept();
    }
}

/// The wait behind a time-out stores as if nothing had happened.
#[test]
fn promise_04_a_stored_completion_is_no_proof_of_an_answer() {
    let (bench, _, b) = two_devices(FEATURES);
    bench.fake.inner().dead.insert(0x11);
    bench.fake.inner().late_records = 5;
    let (result, _) = shoot(&bench, &space(b, pages(0x1000, 0x2000)));
    assert_eq!(result, SILENT, "the record comes after the completion");
    bench.fake.assert_rules_kept();
}

/// A device that answers when it is asked alone stays.
#[test]
fn promise_05_a_slow_device_is_given_another_chance() {
    let (bench, _, b) = two_devices(FEATURES);
    bench.fake.inner().dead.insert(0x11);
    bench.fake.pace(Pace::Stalled);
    let mut fence = start(&bench, b, 2);
    bench.fake.run(2);
    assert_eq!(
        poll_for(&bench, &mut fence, &mut Cost::default(), 2),
        Poll::Pending
    );
    bench.fake.run(2);
    bench.fake.inner().dead.clear();
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, &mut fence), Poll::Ready(Ok(())));
    let log = bench.fake.take_invalidations();
    assert_eq!(log.last(), Some(&[0x4002_0011_2000_0011, ALL | 5]));
}

/// A refused question is no answer.
#[test]
fn promise_04_a_device_that_cannot_be_asked_is_cut_off() {
    let (bench, _, b) = two_devices(FEATURES);
    bench.fake.inner().illegal = vec![(4, 2)];
    let (result, cost) = shoot(&bench, &space(b, pages(0x1000, 0x2000)));
    assert_eq!(result, SILENT);
    assert_eq!(cost.escalations, 2);
    assert_eq!(bench.entry(0x11), [3, 0, 0, 0]);
    bench.fake.assert_rules_kept();
    // Refused once, it is asked alone, and that is enough.
    let (bench, _, b) = two_devices(FEATURES);
    bench.fake.inner().illegal = vec![(4, 1)];
    assert_eq!(shoot(&bench, &space(b, pages(0x1000, 0x2000))).0, Ok(()));
}

/// Where records are lost, every device of the batch may be the silent one.
#[test]
fn promise_05_an_overflow_of_the_event_log_hides_no_silent_device() {
    let (bench, a, b) = two_devices(FEATURES);
    bench.fake.inner().dead.insert(0x11);
    bench.fake.inner().overflows = true;
    bench.fake.pace(Pace::Stalled);
    let mut theirs = start(&bench, a, 1);
    let mut its = start(&bench, b, 2);
    bench.fake.run(4);
    let _ = poll_for(&bench, &mut its, &mut Cost::default(), 1);
    bench.fake.run(3);
    bench.fake.inner().overflows = false;
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, &mut theirs), Poll::Ready(Ok(())));
    assert_eq!(finish(&bench, &mut its), Poll::Ready(SILENT));
    let log = bench.fake.take_invalidations();
    for asked in [
        [0x4001_0010_2000_0010, ALL | 5],
        [0x4002_0011_2000_0011, ALL | 5],
    ] {
        assert!(log.contains(&asked), "both were asked");
    }
    bench.fake.assert_rules_kept();
}

/// A log that never has room, through records that the kernel takes or not, ends in time.
#[test]
fn promise_12_a_flood_of_events_is_bounded() {
    let (bench, a, _) = two_devices(FEATURES);
    for n in 0..300 {
        bench.fake.inner().record([2 << 60 | 0x18, n << 12]);
    }
    assert_eq!(shoot(&bench, &space(a, pages(0x1000, 0x2000))).0, Ok(()));
    assert_eq!(bench.iommu.dropped_events(), 255);
    assert_eq!(bench.iommu.next_event(), None);
    bench.fake.inner().record([2 << 60 | 0x18, 0x5000]);
    assert!(bench.iommu.next_event().is_some(), "the log runs again");
    bench.fake.assert_rules_kept();
}

/// 48882 2.5.3 (figure 56): the kernel takes faults in order, whoever looked first.
#[test]
fn events_are_the_kernels() {
    let (bench, a, b) = two_devices(FEATURES);
    let with_pasid = 2 << 60 | 1 << 53 | 1 << 48 | 0xa5c6 << 32 | 5 << 16 | 0x18;
    bench.fake.inner().record([with_pasid, 0x7fff_1234_5678]);
    bench
        .fake
        .inner()
        .record([2 << 60 | 7 << 32 | 0x19, 0x1000]);
    assert_eq!(shoot(&bench, &space(a, pages(0x1000, 0x2000))).0, Ok(()));
    let first = bench.iommu.next_event().unwrap();
    assert_eq!(first.kind(), Event::PAGE_FAULT);
    assert_eq!(first.device(), DeviceId(0x18));
    assert_eq!(first.pasid().unwrap().raw(), 0x5_a5c6);
    assert_eq!(first.domain(), None);
    assert!(first.is_write());
    assert_eq!(first.address().raw(), 0x7fff_1234_5678);
    assert_eq!(bench.fake.inner().register(crate::fake::EVENT_HEAD), 16);
    let second = bench.iommu.next_event().unwrap();
    assert_eq!((second.pasid(), second.domain().unwrap().0), (None, 7));
    assert!(!second.is_write());
    assert_eq!(bench.iommu.next_event(), None);
    // More than a lap, record by record.
    for n in 0..600 {
        bench.fake.inner().record([2 << 60, n]);
        assert_eq!(bench.iommu.next_event().unwrap().words(), [2 << 60, n]);
    }
    assert_eq!(shoot(&bench, &space(b, pages(0x1000, 0x2000))).0, Ok(()));
    assert_eq!(bench.iommu.dropped_events(), 0);
    bench.fake.assert_rules_kept();
}

/// Erratum 732: the tail moves before the record is there.
#[test]
fn a_record_that_is_announced_is_waited_for() {
    let (bench, _, _) = two_devices(FEATURES);
    bench.fake.inner().late_records = 3;
    bench.fake.inner().record([2 << 60, 0x1000]);
    assert_eq!(bench.iommu.next_event(), None);
    assert_eq!(bench.iommu.next_event(), None);
    assert_eq!(bench.iommu.next_event().unwrap().words(), [2 << 60, 0x1000]);
}

#[test]
fn an_interrupt_is_acknowledged_and_pushes_on() {
    let (bench, a, _) = two_devices(FEATURES);
    bench.fake.pace(Pace::AtRead(1));
    let mut fence = start(&bench, a, 1);
    let raised = bench.fake.inner().register(crate::fake::STATUS) | 2;
    bench.fake.inner().set_register(crate::fake::STATUS, raised);
    for _ in 0..10 {
        bench.iommu.on_interrupt();
    }
    assert_eq!(bench.fake.inner().register(crate::fake::STATUS) & 2, 0);
    assert_eq!(
        bench.iommu.poll(&mut fence, &mut Cost::default()),
        Poll::Ready(Ok(()))
    );
}

/// Without an event log there are no device TLBs, but halts are survived.
#[test]
fn promise_05_without_an_event_log() {
    let bench = Bench::new(
        FEATURES,
        Config::new(CAPABILITY),
        Memory {
            events: None,
            ..memory()
        },
    );
    bench.add_device(0x10, None);
    let key = bench.attach(&[(0x10, 1)]);
    bench.fake.inner().illegal = vec![(3, 2)];
    let (result, cost) = shoot(&bench, &space(key, pages(0x1000, 0x2000)));
    assert_eq!((result, cost.escalations), (Ok(()), 1));
    bench.fake.assert_rules_kept();
}

/// Destroys the operation of the command so many entries before the tail, which is then refused.
fn write_over(bench: &Bench, behind: u64) {
    let mut inner = bench.fake.inner();
    let base = inner.register64(COMMAND_BASE) & 0xf_ffff_ffff_f000;
    let at = base + u64::from(inner.register(COMMAND_TAIL)) - 16 * behind;
    let place = at as *mut u64;
    // SAFETY: within the driver's command buffer, which is never freed; the device is at rest.
    let word = unsafe { place.read_volatile() };
    // SAFETY: as above.
    unsafe { place.write_volatile(word | 15 << 60) };
    inner.illegal = vec![(15, 1)];
}

/// Whatever it was, INVALIDATE_IOMMU_ALL and asking the devices anew covers it, and a wait that was lost is repeated.
#[test]
fn promise_05_a_command_that_was_written_over_is_covered_by_everything() {
    let all = [0x8000_0000_0000_0000, 0];
    let question = [0x4002_0011_2000_0011, ALL | 5];
    // INVALIDATE_IOMMU_PAGES and its COMPLETION_WAIT; INVALIDATE_IOTLB_PAGES and its; the same once it is asked again.
    for (stage, behind) in [(1, 2), (1, 1), (2, 2), (2, 1), (3, 2), (3, 1)] {
        let (bench, _, b) = two_devices(FEATURES);
        let mut cost = Cost::ZERO;
        bench.fake.pace(Pace::Stalled);
        let mut fence = start(&bench, b, 2);
        if stage > 2 {
            bench.fake.inner().dead.insert(0x11);
        }
        for _ in 1..stage {
            bench.fake.run(2);
            let polled = poll_for(&bench, &mut fence, &mut cost, 1);
            assert_eq!(polled, Poll::Pending);
        }
        bench.fake.inner().dead.clear();
        write_over(&bench, behind);
        bench.fake.pace(Pace::AtRead(1));
        assert_eq!(finish(&bench, &mut fence), Poll::Ready(Ok(())));
        let log = bench.fake.take_invalidations();
        assert!(log.contains(&all), "{stage} {behind}");
        assert_eq!(log.contains(&question), stage > 1, "{stage} {behind}");
        bench.fake.assert_rules_kept();
    }
    // Nothing covers it without that command.
    let (bench, a, _) = two_devices(WITHOUT_ALL);
    bench.fake.pace(Pace::Stalled);
    let mut fence = start(&bench, a, 1);
    write_over(&bench, 2);
    bench.fake.pace(Pace::AtRead(1));
    let stopped = Poll::Ready(Err(SecondaryError::QueueStopped));
    assert_eq!(finish(&bench, &mut fence), stopped);
}

/// A full buffer that has halted, with set-ups that gave up in it: no fence waits for it.
fn halted_by_nobodys() -> (Bench, AttachKey, AttachKey) {
    let (bench, a, b) = two_devices(FEATURES);
    bench.fake.pace(Pace::Stalled);
    for _ in 0..128 {
        let gave_up = bench.iommu.install(b, &mut || false);
        assert_eq!(gave_up, Err(AttachError::Timeout(Some(b))));
    }
    bench.fake.inner().illegal = vec![(3, 1)];
    bench.fake.run(1);
    bench.fake.pace(Pace::AtDoorbell);
    (bench, a, b)
}

/// Whoever finds no room starts it anew.
#[test]
fn promise_05_a_halt_that_nobody_waits_for_holds_nobody_back_for_ever() {
    let (bench, a, _) = halted_by_nobodys();
    let mut cost = Cost::ZERO;
    let flush = space(a, pages(0x1000, 0x2000));
    let mut turns = 0;
    while bench.iommu.queue(&flush, &mut cost) == Err(Full) {
        turns += 1;
        assert!(turns < 200, "held back for ever");
        let mut fence = bench.iommu.seal(&mut cost);
        let _ = bench.iommu.poll(&mut fence, &mut cost);
    }
    let mut fence = bench.iommu.seal(&mut cost);
    assert_eq!(finish(&bench, &mut fence), Poll::Ready(Ok(())));
    bench.fake.assert_rules_kept();
}

/// The same where it is a set-up that finds no room, and nobody polls.
#[test]
fn promise_05_a_halt_holds_no_set_up_back_for_ever() {
    let (bench, _, b) = halted_by_nobodys();
    let installed = bench.iommu.install(b, &mut turns(&bench.lock, 200));
    assert_eq!(installed, Ok(()));
    bench.fake.assert_rules_kept();
}

/// A log that was started anew and does not run yet records nothing: nobody is asked before it runs.
#[test]
fn promise_04_a_log_that_does_not_run_yet_hides_no_silent_device() {
    let (bench, _, b) = two_devices(FEATURES);
    bench.fake.inner().dead.insert(0x11);
    bench.fake.inner().overflows = true;
    bench.fake.pace(Pace::Stalled);
    let mut fence = start(&bench, b, 2);
    bench.fake.run(2);
    assert_eq!(
        poll_for(&bench, &mut fence, &mut Cost::default(), 1),
        Poll::Pending
    );
    bench.fake.run(2);
    bench.fake.inner().overflows = false;
    bench.fake.inner().inertia = 20;
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, &mut fence), Poll::Ready(SILENT));
    bench.fake.assert_rules_kept();
}

/// After a restart the entries from the first unproven one on are read again, whatever a store from before the halt says by then.
#[test]
fn promise_05_a_halt_among_entries_that_are_done_again_is_survived() {
    let bench = Bench::new(FEATURES, Config::new(CAPABILITY), memory());
    bench.add_host_device(0x12, None);
    bench.add_device(0x11, Some(32));
    let leaving = bench.attach_host(&[0x12]);
    let staying = bench.attach(&[(0x11, 2)]);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    bench.iommu.release(leaving, &mut cost).unwrap();
    let mut ended = bench.iommu.seal(&mut cost);
    let mut flushed = start(&bench, staying, 1);
    // Within one look: the end's first stage with its wait, then the halt.
    bench.fake.inner().illegal = vec![(3, 1)];
    bench.fake.pace(Pace::AtRead(3));
    assert_eq!(bench.iommu.poll(&mut flushed, &mut cost), Poll::Pending);
    // The first of them is refused when it comes again.
    bench.fake.inner().illegal = vec![(2, 1)];
    assert_eq!(finish(&bench, &mut flushed), Poll::Ready(Ok(())));
    assert_eq!(finish(&bench, &mut ended), Poll::Ready(Ok(())));
    bench.fake.assert_rules_kept();
}
