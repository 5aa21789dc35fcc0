//! Errors of the queue: nothing lost, nothing swallowed, nobody charged for another's.

use crate::fake::{Bench, Pace, context, translation, turns};
use crate::flushing::{fill_up, finish, pages, space, start};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::registers::GlobalErrors;
use tlb_shootdown::iommu::smmuv3::{AttachError, StreamId};
use tlb_shootdown::secondary::{AttachKey, Fence, SecondaryError, SecondaryTlb};

const TLBI_NH_VA: u8 = 0x12;
const TLBI_NSNH_ALL: u8 = 0x30;
const ATC_INV: u8 = 0x40;
const SYNC: u8 = 0x46;

pub(crate) fn dead(device: u32) -> Result<(), SecondaryError> {
    Err(SecondaryError::DeviceTimeout { device })
}

/// Polls to the end and adds up what that cost.
fn finish_at(bench: &Bench, mut fence: Fence) -> (Result<(), SecondaryError>, Cost) {
    let mut cost = Cost::ZERO;
    for _ in 0..1000 {
        if let Poll::Ready(result) = bench.smmu.poll(&mut fence, &mut cost) {
            return (result, cost);
        }
    }
    panic!("{fence:?} is still pending");
}

fn opcodes(bench: &Bench) -> Vec<u8> {
    bench
        .fake
        .take_log()
        .iter()
        .map(|words| words[0] as u8)
        .collect()
}

/// Three devices, each with an address space of its own.
pub(crate) fn three_devices() -> (Bench, [AttachKey; 3]) {
    let bench = Bench::usual();
    let keys = [1, 2, 3].map(|sid| {
        bench.add_stream(sid, Some(12));
        bench.attach(&[(sid, Some(1))])
    });
    (bench, keys)
}

#[test]
fn promise_05_a_refused_tlbi_is_covered_by_a_larger_one() {
    let bench = Bench::usual();
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    bench.fake.inner().illegal.push((TLBI_NH_VA, 1));
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    let (result, cost) = finish_at(&bench, fence);
    assert_eq!(result, Ok(()));
    assert_eq!(cost.escalations, 1);
    assert_eq!(opcodes(&bench), [TLBI_NSNH_ALL, SYNC]);
    bench.fake.assert_rules_kept();
}

#[test]
fn promise_05_a_refused_cfgi_is_covered_by_cfgi_all() {
    let bench = Bench::usual();
    bench.add_stream(1, None);
    bench.fake.take_log();
    bench.fake.inner().illegal.push((0x05, 1));
    let key = bench.smmu.attach(
        &[context(1, None)],
        &translation(),
        &mut turns(&bench.lock, 10),
    );
    assert!(key.is_ok());
    assert_eq!(bench.fake.take_log(), [[0x4, 31], [0x46, 0]]);
}

#[test]
fn a_second_refusal_at_the_same_place_stops_the_queue() {
    let bench = Bench::usual();
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    let (good, _) = start(&bench, key, pages(0, 0x1000));
    bench
        .fake
        .inner()
        .illegal
        .extend([(TLBI_NH_VA, 1), (TLBI_NSNH_ALL, 1)]);
    let (bad, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, bad), Err(SecondaryError::QueueStopped));
    assert_eq!(
        finish(&bench, good),
        Ok(()),
        "what was complete stays complete"
    );
    let (later, cost) = start(&bench, key, Flush::all());
    assert_eq!(cost, Cost::ZERO);
    assert_eq!(finish(&bench, later), Err(SecondaryError::QueueStopped));
    let detach = bench.smmu.detach(key, &mut turns(&bench.lock, 10));
    assert_eq!(
        detach,
        Err(AttachError::Failed(SecondaryError::QueueStopped))
    );
}

#[test]
fn an_aborted_fetch_is_tried_again_a_few_times() {
    let bench = Bench::usual();
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    bench.fake.inner().fetch_aborts = 3;
    let (fence, _) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(opcodes(&bench), [TLBI_NH_VA, SYNC], "none lost, none twice");
    bench.fake.inner().fetch_aborts = u32::MAX;
    let (fence, _) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(finish(&bench, fence), Err(SecondaryError::QueueStopped));
    bench.fake.assert_rules_kept();
}

/// IHI 0070 6.3.20: toggling an error that is not active is unpredictable.
#[test]
fn only_active_errors_are_acknowledged() {
    let bench = Bench::usual();
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    // Bit 2 (event queue) is active, bit 3 is not, although both are 1 in GERROR.
    bench.fake.inner().set_register(0x60, 0b1100);
    bench.fake.inner().set_register(0x64, 0b1000);
    for round in 0..4u32 {
        bench.fake.inner().illegal.push((TLBI_NH_VA, 1));
        let (fence, _) = start(&bench, key, pages(0, 0x1000));
        assert_eq!(finish(&bench, fence), Ok(()));
        let expected = 0b1000 | (round + 1) & 1;
        assert_eq!(bench.fake.inner().acknowledgements.pop(), Some(expected));
    }
    assert_eq!(bench.smmu.on_global_error(), GlobalErrors::EVENTQ_ABORT);
    assert_eq!(bench.fake.inner().acknowledgements.pop(), Some(0b1100));
    assert_eq!(bench.smmu.on_global_error(), GlobalErrors::empty());
    bench.fake.assert_rules_kept();
}

#[test]
fn promise_05_one_dead_device_of_three_is_named_and_the_others_complete() {
    for pace in [Pace::AtDoorbell, Pace::AtRead(1), Pace::AtRead(3)] {
        let (bench, keys) = three_devices();
        bench.fake.pace(Pace::Stalled);
        bench.fake.inner().dead.insert(2);
        let fences = keys.map(|key| start(&bench, key, pages(0x1000, 0x2000)).0);
        bench.fake.pace(pace);
        bench.fake.inner().run(if pace == Pace::AtDoorbell {
            u32::MAX
        } else {
            0
        });
        assert_eq!(finish(&bench, fences[0]), Ok(()), "{pace:?}");
        assert_eq!(finish(&bench, fences[1]), dead(2), "{pace:?}");
        assert_eq!(finish(&bench, fences[2]), Ok(()), "{pace:?}");
        bench.fake.assert_rules_kept();
    }
}

#[test]
fn a_fence_is_not_reached_before_the_dead_device_is_cut_off() {
    let (bench, keys) = three_devices();
    bench.fake.inner().dead.insert(2);
    bench.fake.pace(Pace::Stalled);
    let (_, _) = start(&bench, keys[1], pages(0x1000, 0x2000));
    let (mut behind, _) = start(&bench, keys[2], pages(0x1000, 0x2000));
    bench.fake.pace(Pace::AtRead(1));
    let entry = (bench.fake.inner().register64(0x80) & 0x00ff_ffff_ffff_ffc0) + 64 * 2;
    for turn in 0.. {
        assert!(turn < 1000, "{behind:?} is never reached");
        let poll = bench.smmu.poll(&mut behind, &mut Cost::default());
        let log = bench.fake.inner().log.clone();
        // CFGI_STE of stream 2, and the CMD_SYNC behind it.
        let cut = log
            .windows(2)
            .any(|pair| pair[0] == [0x2_0000_0003, 1] && pair[1][0] as u8 == SYNC);
        if poll.is_ready() {
            assert_eq!(poll, Poll::Ready(Ok(())));
            assert!(cut, "complete before the device was cut off: {log:x?}");
            break;
        }
    }
    // V = 1, Config = abort: the table entry.
    // SAFETY: the live stream table.
    let entry = unsafe { (entry as *const u64).read_volatile() };
    assert_eq!(entry, 1);
}

#[test]
fn a_dead_device_is_left_out_afterwards_and_can_be_detached() {
    let (bench, keys) = three_devices();
    bench.fake.inner().dead.insert(2);
    let (fence, _) = start(&bench, keys[1], pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), dead(2));
    assert_eq!(
        finish(&bench, fence),
        dead(2),
        "for as long as it is attached"
    );
    bench.fake.take_log();
    let (later, cost) = start(&bench, keys[1], pages(0x1000, 0x2000));
    assert_eq!((cost.commands, cost.syncs), (1, 1), "no ATC_INV");
    assert_eq!(finish(&bench, later), Ok(()));
    let again = bench.smmu.attach(
        &[context(2, Some(2))],
        &translation(),
        &mut turns(&bench.lock, 10),
    );
    assert_eq!(again, Err(AttachError::Quarantined));
    bench.detach(keys[1]);
    assert_eq!(finish(&bench, fence), Ok(()), "detached, it counts as done");
    bench
        .smmu
        .remove_stream(StreamId(2), &mut turns(&bench.lock, 10))
        .unwrap();
    // Revived, it is served again, and old fences do not concern it.
    bench.fake.inner().dead.clear();
    bench.add_stream(2, Some(12));
    let key = bench.attach(&[(2, Some(1))]);
    let (fence, cost) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(cost.commands, 2);
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.fake.assert_rules_kept();
}

#[test]
fn a_device_that_answers_when_asked_alone_is_kept() {
    let (bench, keys) = three_devices();
    bench.fake.inner().dead.insert(2);
    let (fence, _) = start(&bench, keys[1], pages(0x1000, 0x2000));
    bench.fake.inner().dead.clear();
    bench.fake.take_log();
    assert_eq!(finish(&bench, fence), Ok(()));
    // The CMD_SYNC again, and the device alone: everything, and a CMD_SYNC.
    assert_eq!(
        bench.fake.take_log(),
        [[0x46, 0], [0x2_0000_0040, 52], [0x46, 0]]
    );
    let (_, cost) = start(&bench, keys[1], pages(0x1000, 0x2000));
    assert_eq!(cost.commands, 2);
    bench.fake.assert_rules_kept();
}

#[test]
fn one_space_on_three_devices_names_the_dead_one() {
    let bench = Bench::usual();
    for sid in 1..4 {
        bench.add_stream(sid, Some(12));
    }
    let key = bench.attach(&[(1, Some(1)), (2, Some(1)), (3, Some(1))]);
    bench.fake.inner().dead.insert(3);
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), dead(3));
    bench.fake.assert_rules_kept();
}

#[test]
fn two_dead_devices_are_both_cut_off() {
    let (bench, keys) = three_devices();
    bench.fake.inner().dead.extend([1, 3]);
    bench.fake.pace(Pace::Stalled);
    let fences = keys.map(|key| start(&bench, key, pages(0x1000, 0x2000)).0);
    bench.fake.pace(Pace::AtRead(2));
    assert_eq!(finish(&bench, fences[1]), Ok(()));
    assert_eq!(finish(&bench, fences[0]), dead(1));
    assert_eq!(finish(&bench, fences[2]), dead(3));
    bench.fake.assert_rules_kept();
}

/// A caller whose commands another's seal carried hears of its device as well.
#[test]
fn a_carried_submission_hears_of_its_dead_device() {
    let (bench, keys) = three_devices();
    bench.fake.pace(Pace::Stalled);
    bench.fake.inner().dead.insert(1);
    let mut cost = Cost::ZERO;
    bench
        .smmu
        .queue(&space(keys[0], pages(0, 0x1000)), &mut cost)
        .unwrap();
    let _carrier = start(&bench, keys[1], pages(0, 0x1000));
    let _another = start(&bench, keys[2], pages(0, 0x1000));
    let carried = bench.smmu.seal(&mut cost);
    bench.fake.pace(Pace::AtRead(4));
    assert_eq!(finish(&bench, carried), dead(1));
}

#[test]
fn a_refused_atc_inv_is_asked_again_alone() {
    for (times, expected) in [(1, Ok(())), (2, dead(1))] {
        let (bench, keys) = three_devices();
        bench.fake.inner().illegal.push((ATC_INV, times));
        let (fence, _) = start(&bench, keys[0], pages(0, 0x1000));
        assert_eq!(finish(&bench, fence), expected);
        let (other, _) = start(&bench, keys[1], pages(0, 0x1000));
        assert_eq!(finish(&bench, other), Ok(()));
        bench.fake.assert_rules_kept();
    }
}

#[test]
fn the_retry_waits_for_room_and_makes_it() {
    let bench = Bench::new(
        crate::fake::Ids::usual(),
        3,
        tlb_shootdown::iommu::smmuv3::Config::new(),
    );
    for sid in 1..3 {
        bench.add_stream(sid, Some(12));
    }
    let keys = [1, 2].map(|sid| bench.attach(&[(sid, Some(1))]));
    bench.fake.pace(Pace::Stalled);
    bench.fake.inner().dead.insert(1);
    let (first, _) = start(&bench, keys[0], pages(0, 0x1000));
    let (second, _) = start(&bench, keys[1], pages(0, 0x1000));
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, second), Ok(()));
    assert_eq!(finish(&bench, first), dead(1));
    bench.fake.assert_rules_kept();
}

#[test]
fn service_failure_fails_what_is_not_complete() {
    let (bench, keys) = three_devices();
    let (done, _) = start(&bench, keys[0], pages(0, 0x1000));
    bench.fake.pace(Pace::Stalled);
    let (fence, _) = start(&bench, keys[0], pages(0, 0x1000));
    bench.fake.inner().set_register(0x60, 1 << 8);
    assert_eq!(finish(&bench, fence), Err(SecondaryError::Failed));
    assert_eq!(finish(&bench, done), Ok(()));
    assert!(
        bench.fake.inner().acknowledgements.is_empty(),
        "acknowledging does not leave the mode"
    );
    let (later, _) = start(&bench, keys[0], pages(0, 0x1000));
    assert_eq!(finish(&bench, later), Err(SecondaryError::Failed));
}

#[test]
fn promise_12_an_unresponsive_smmu_is_pending_for_ever_and_nothing_panics() {
    let (bench, keys) = three_devices();
    bench.fake.pace(Pace::Stalled);
    let (mut fence, _) = start(&bench, keys[0], pages(0, 0x1000));
    for gone in [false, true] {
        if gone {
            // A device that has left the bus reads as all ones.
            for offset in [0x60, 0x64, 0x9c] {
                bench.fake.inner().set_register(offset, u32::MAX);
            }
        }
        for _ in 0..100 {
            let poll = bench.smmu.poll(&mut fence, &mut Cost::default());
            assert_eq!(poll, Poll::Pending);
        }
    }
}

/// The next device in the same place fails for itself alone.
#[test]
fn an_old_fence_is_not_charged_for_a_newer_device() {
    let (bench, keys) = three_devices();
    bench.fake.inner().dead.extend([2, 9]);
    let (old, _) = start(&bench, keys[1], pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, old), dead(2));
    bench.detach(keys[1]);
    bench
        .smmu
        .remove_stream(StreamId(2), &mut turns(&bench.lock, 10))
        .unwrap();
    bench.add_stream(9, Some(12));
    let key = bench.attach(&[(9, Some(1))]);
    let (new, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, new), dead(9));
    assert_eq!(finish(&bench, old), Ok(()));
}

/// While one device is asked, an earlier CMD_SYNC fails for another: the one that was asked is not to blame.
#[test]
fn only_its_own_cmd_sync_condemns_the_device_that_was_asked() {
    let (bench, keys) = three_devices();
    bench.fake.pace(Pace::Stalled);
    bench.fake.inner().dead.insert(3);
    let order = [keys[2], keys[0], keys[2]];
    let fences = order.map(|key| start(&bench, key, pages(0, 0x1000)).0);
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, fences[1]), Ok(()));
    assert_eq!(finish(&bench, fences[0]), dead(3));
    assert_eq!(finish(&bench, fences[2]), dead(3));
    let (again, cost) = start(&bench, keys[0], pages(0, 0x1000));
    assert_eq!(cost.commands, 2, "still served");
    assert_eq!(finish(&bench, again), Ok(()));
    bench.fake.assert_rules_kept();
}

/// Commands that nobody seals fill the ring: the retry hands them over, and goes on.
#[test]
fn promise_06_the_retry_does_not_wait_for_somebody_elses_seal() {
    let bench = Bench::new(crate::fake::Ids::usual(), 3, Default::default());
    bench.add_stream(1, Some(12));
    bench.add_stream(2, None);
    let [key, other] = [1, 2].map(|sid| bench.attach(&[(sid, Some(1))]));
    bench.fake.pace(Pace::Stalled);
    bench.fake.inner().dead.insert(1);
    let (fence, _) = start(&bench, key, pages(0, 0x1000));
    bench.fake.inner().run(8);
    let mut cost = Cost::ZERO;
    fill_up(&bench, &space(other, pages(0, 0x1000)), &mut cost);
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, fence), dead(1));
    let others = bench.smmu.seal(&mut cost);
    assert_eq!(finish(&bench, others), Ok(()));
    bench.fake.assert_rules_kept();
}

/// An ATC_INV that waited for its seal while its device was cut off is not sent.
#[test]
fn what_was_remembered_for_a_dead_device_is_forgotten() {
    let (bench, keys) = three_devices();
    bench.fake.inner().dead.insert(1);
    let (fence, _) = start(&bench, keys[0], pages(0, 0x1000));
    let mut cost = Cost::ZERO;
    bench
        .smmu
        .queue(&space(keys[0], pages(0x7000, 0x8000)), &mut cost)
        .unwrap();
    bench
        .smmu
        .queue(&space(keys[1], pages(0x7000, 0x8000)), &mut cost)
        .unwrap();
    assert_eq!(finish(&bench, fence), dead(1));
    bench.fake.take_log();
    let later = bench.smmu.seal(&mut cost);
    assert_eq!(finish(&bench, later), Ok(()));
    let told = bench.fake.take_log();
    let told: Vec<_> = told
        .iter()
        .filter(|w| w[0] as u8 == ATC_INV)
        .map(|w| w[0] >> 32)
        .collect();
    assert_eq!(told, [2]);
}

/// All ones in CMDQ_CONS would be a plausible index here.
#[test]
fn a_device_that_is_gone_has_consumed_nothing() {
    let bench = Bench::new(crate::fake::Ids::usual(), 3, Default::default());
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, Some(1))]);
    // Bring-up, stream and context took 8 entries.
    let mut cost = Cost::ZERO;
    let one = space(key, pages(0, 0x1000));
    bench.smmu.queue(&one, &mut cost).unwrap();
    start(&bench, key, pages(0, 0x1000));
    start(&bench, key, pages(0, 0x1000));
    assert_eq!(bench.fake.inner().register(0x98), 0xd);
    bench.fake.pace(Pace::Stalled);
    let (mut fence, _) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(bench.fake.inner().register(0x98), 0xf);
    for offset in [0x60, 0x64, 0x9c] {
        bench.fake.inner().set_register(offset, u32::MAX);
    }
    let poll = bench.smmu.poll(&mut fence, &mut Cost::default());
    assert_eq!(poll, Poll::Pending);
}

/// Switched off and on at every step of the search for the dead device: its fence is never taken for reached.
#[test]
fn promise_03_a_restart_proves_nothing_about_device_tlbs() {
    for steps in 0..40 {
        let (bench, keys) = three_devices();
        bench.fake.pace(Pace::Stalled);
        bench.fake.inner().dead.insert(3);
        let [_, _, mut fence] = keys.map(|key| start(&bench, key, pages(0x1000, 0x2000)).0);
        for step in 0..steps {
            if step > 0 {
                let _ = bench.smmu.poll(&mut fence, &mut Cost::default());
            }
            bench.fake.inner().run(u32::MAX);
        }
        bench.smmu.disable(&mut turns(&bench.lock, 10)).unwrap();
        bench.fake.pace(Pace::AtDoorbell);
        let _ = bench.smmu.init(&mut turns(&bench.lock, 1000));
        let poll = bench.smmu.poll(&mut fence, &mut Cost::default());
        assert_ne!(poll, Poll::Ready(Ok(())), "after {steps} steps");
    }
}
