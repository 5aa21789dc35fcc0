//! What a fence says of devices that died: of those that its own seal told, or the seal that carried its commands, and of no others.

use crate::errors::{dead, three_devices};
use crate::fake::{Bench, Ids, Pace};
use crate::flushing::{finish, pages, space, start};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::smmuv3::{AttachError, Config, StreamId};
use tlb_shootdown::secondary::{Fence, Invalidation, SecondaryError, SecondaryTlb};

fn poll(bench: &Bench, fence: &mut Fence) -> Poll<Result<(), SecondaryError>> {
    bench.smmu.poll(fence, &mut Cost::default())
}

/// Whoever looks at the queue meanwhile: a device has been told where the seal is known to be complete, and not before.
#[test]
fn promise_05_who_was_carried_hears_of_its_device_after_a_look_at_the_queue() {
    for consumed in 0..4 {
        let (bench, keys) = three_devices();
        bench.fake.pace(Pace::Stalled);
        bench.fake.inner().dead.insert(1);
        let mut cost = Cost::ZERO;
        let mine = space(keys[0], pages(0, 0x1000));
        bench.smmu.queue(&mine, &mut cost).unwrap();
        // Two TLBIs, CMD_SYNC, two ATC_INVs, CMD_SYNC.
        let (mut carrier, _) = start(&bench, keys[1], pages(0, 0x1000));
        bench.fake.inner().run(consumed);
        assert_eq!(poll(&bench, &mut carrier), Poll::Pending);
        let carried = bench.smmu.seal(&mut cost);
        bench.fake.pace(Pace::AtRead(1));
        assert_eq!(finish(&bench, carried), dead(1), "after {consumed}");
        bench.fake.assert_rules_kept();
    }
}

#[test]
fn who_was_carried_hears_nothing_of_the_device_of_an_earlier_seal() {
    let (bench, keys) = three_devices();
    bench.fake.inner().dead.insert(1);
    let (earlier, _) = start(&bench, keys[0], pages(0, 0x1000));
    assert_eq!(finish(&bench, earlier), dead(1));
    let (between, _) = start(&bench, keys[2], pages(0, 0x1000));
    assert_eq!(finish(&bench, between), Ok(()));
    let mut cost = Cost::ZERO;
    let mine = space(keys[1], pages(0, 0x1000));
    bench.smmu.queue(&mine, &mut cost).unwrap();
    let (carrier, _) = start(&bench, keys[2], pages(0, 0x1000));
    let carried = bench.smmu.seal(&mut cost);
    assert_eq!(carried.sequence, carrier.sequence);
    assert_eq!(finish(&bench, carried), Ok(()));
    assert_eq!(finish(&bench, earlier), dead(1), "for who asked it");
}

/// The end of an address space tells its devices as well: that concerns nobody's flush.
#[test]
fn who_was_carried_hears_nothing_of_a_device_that_a_detach_found_dead() {
    let (bench, keys) = three_devices();
    bench.fake.pace(Pace::Stalled);
    bench.fake.inner().dead.insert(1);
    let mut cost = Cost::ZERO;
    let mut carried = None;
    let mut turn = 0;
    let detached = bench.smmu.detach(keys[0], &mut || {
        turn += 1;
        if turn == 1 {
            // The SMMU's own TLB is done, and the device comes next, behind a seal that is under way.
            bench.fake.inner().run(u32::MAX);
            start(&bench, keys[2], pages(0, 0x1000));
        } else {
            let mine = space(keys[1], pages(0, 0x1000));
            bench.smmu.queue(&mine, &mut cost).unwrap();
            start(&bench, keys[2], pages(0, 0x1000));
            carried = Some(bench.smmu.seal(&mut cost));
        }
        turn == 1
    });
    assert_eq!(detached, Err(AttachError::Timeout(Some(keys[0]))));
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, carried.unwrap()), Ok(()));
    bench.detach(keys[0]);
    bench.fake.assert_rules_kept();
}

/// Sealed while the old device goes, the fence names the very position at which the next one comes into its place.
#[test]
fn a_fence_is_not_charged_for_a_device_that_came_right_after_it() {
    let config = Config {
        kernel_tables: true,
        ..Config::new()
    };
    let bench = Bench::new(Ids::usual(), 8, config);
    bench.add_stream(1, Some(12));
    bench.fake.pace(Pace::Stalled);
    let mut old = None;
    let removed = bench.smmu.remove_stream(StreamId(1), &mut || {
        if old.is_none() {
            let mut cost = Cost::ZERO;
            let queued = bench.smmu.queue(&Invalidation::KernelTables, &mut cost);
            assert_eq!((queued, cost.commands), (Ok(()), 1));
            old = Some(bench.smmu.seal(&mut cost));
            assert_eq!(cost.commands, 2, "the old device is told");
            bench.fake.pace(Pace::AtDoorbell);
            bench.fake.inner().run(u32::MAX);
        }
        true
    });
    assert!(removed.is_ok());
    let old = old.unwrap();
    bench.add_stream(9, Some(12));
    let key = bench.attach(&[(9, Some(1))]);
    bench.fake.inner().dead.insert(9);
    let (new, _) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(finish(&bench, new), dead(9));
    assert_eq!(finish(&bench, old), Ok(()));
    bench.fake.assert_rules_kept();
}
