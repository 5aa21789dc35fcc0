//! The second stage: who waits for it, what it still owes, and what becomes of it.

use crate::fake::{Bench, CAPABILITY, FEATURES, Pace, host_device, memory};
use crate::flushing::{poll_for, shoot, start};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::amd::Config;
use tlb_shootdown::secondary::{Fence, Invalidation, SecondaryError, SecondaryTlb};

fn polls<const SLOTS: usize>(
    bench: &Bench<SLOTS>,
    fence: &mut Fence,
    most: u32,
) -> Poll<Result<(), SecondaryError>> {
    poll_for(bench, fence, &mut Cost::default(), most)
}

/// Whose TLBs were asked by what was sealed last, of bits of their slots: none once all have answered.
fn owed(bench: &Bench) -> u64 {
    bench.iommu.seal(&mut Cost::default()).detail
}

/// Who has queued nothing waits for what was sealed last, and hears of a device that answers nothing of that, until it is complete.
#[test]
fn promise_04_a_fence_names_devices_until_they_have_answered() {
    let bench = Bench::usual();
    for id in [0x10, 0x11] {
        bench.add_device(id, Some(32));
    }
    let keys = [0x10, 0x11].map(|id| bench.attach(&[(id, 1)]));
    bench.fake.pace(Pace::Stalled);
    assert_eq!(owed(&bench), 0);
    let mut first = start(&bench, keys[0], 1);
    assert_eq!(owed(&bench), 0b01);
    let mut second = start(&bench, keys[1], 2);
    // Both first stages, both seconds in one batch, and nothing is left.
    for (commands, devices) in [(0, 0b11), (1, 0b11), (3, 0b11), (2, 0b11), (1, 0)] {
        bench.fake.run(commands);
        // One look sees it, the next one what follows from it.
        let _ = [(); 2].map(|()| polls(&bench, &mut first, 1));
        assert_eq!(owed(&bench), devices, "after {commands} more");
    }
    assert_eq!(polls(&bench, &mut first, 1), Poll::Ready(Ok(())));
    assert_eq!(polls(&bench, &mut second, 1), Poll::Ready(Ok(())));
}

/// A seal with nothing for devices looks at no second stage, its own or another's that comes later; a set-up neither at one that came before.
#[test]
fn promise_12_second_stages_of_others_are_not_waited_for() {
    let bench = Bench::usual();
    bench.add_device(0x10, Some(32));
    bench.add_device(0x11, None);
    let with = bench.attach(&[(0x10, 1)]);
    let without = bench.attach(&[(0x11, 1)]);
    bench.fake.pace(Pace::Stalled);
    let mut mine = start(&bench, without, 1);
    assert_eq!(mine.stage, 0);
    let mut theirs = start(&bench, with, 2);
    bench.fake.run(4);
    assert_eq!(polls(&bench, &mut mine, 1), Poll::Ready(Ok(())));
    assert_eq!(polls(&bench, &mut theirs, 1), Poll::Pending);
    // The two commands of the batch have been handed over before the set-up's two, and are not done.
    bench.fake.inner().dead.insert(0x10);
    bench.fake.inner().late_records = u32::MAX;
    let mut turns = 0;
    let added = bench.iommu.add_device(host_device(0x70), &mut || {
        bench.fake.run(4);
        turns += 1;
        turns < 4
    });
    assert_eq!(added, Ok(()));
}

/// A device that is cut off is asked nothing more, though commands for its TLB had been left for later.
#[test]
fn promise_04_what_was_left_for_a_device_goes_with_it() {
    let bench = Bench::usual();
    for id in [0x10, 0x11] {
        bench.add_device(id, Some(32));
    }
    let keys = [0x10, 0x11].map(|id| bench.attach(&[(id, 1)]));
    bench.fake.inner().dead.insert(0x10);
    bench.fake.pace(Pace::Stalled);
    let mut first = start(&bench, keys[0], 1);
    let mut others = [start(&bench, keys[0], 2), start(&bench, keys[1], 3)];
    // The first batch begins with what the first seal has left.
    bench.fake.run(2);
    let _ = polls(&bench, &mut first, 1);
    bench.fake.pace(Pace::AtRead(1));
    let silent = Err(SecondaryError::DeviceTimeout { device: 0x10 });
    assert_eq!(polls(&bench, &mut first, 2000), Poll::Ready(silent));
    assert_eq!(polls(&bench, &mut others[0], 2000), Poll::Ready(silent));
    assert_eq!(polls(&bench, &mut others[1], 2000), Poll::Ready(Ok(())));
    let log = bench.fake.take_invalidations();
    let told = |id: u64, page: u64| {
        let mine = |w: &&[u64; 2]| w[0] >> 60 == 4 && w[0] & 0xffff == id && w[1] >> 12 == page;
        log.iter().filter(mine).count()
    };
    assert_eq!((told(0x10, 1), told(0x10, 2), told(0x11, 3)), (1, 0, 1));
    bench.fake.assert_rules_kept();
}

/// Slots 64 apart share a bit. A device that came after a seal is not blamed for it, silent though it be.
#[test]
fn promise_04_a_fence_names_no_device_that_came_after_it() {
    let bench: Bench<65> = Bench::sized(FEATURES, Config::new(CAPABILITY), memory());
    for id in 0..64 {
        bench.add_device(id, Some(32));
    }
    let first = bench.attach(&[(0, 1)]);
    // Nothing is written between the seal and the coming of the other.
    let mut before = start(&bench, first, 1);
    bench.add_device(64, Some(32));
    assert_eq!(polls(&bench, &mut before, 2000), Poll::Ready(Ok(())));
    bench.fake.inner().dead.insert(64);
    let silent = SecondaryError::DeviceTimeout { device: 64 };
    let last = bench.attach(&[(64, 1)]);
    let mut after = start(&bench, last, 1);
    assert_eq!(polls(&bench, &mut after, 2000), Poll::Ready(Err(silent)));
    assert_eq!(polls(&bench, &mut before, 2000), Poll::Ready(Ok(())));
}

#[test]
fn kernels_that_flush_for_freed_tables_themselves_are_not_helped() {
    let config = Config {
        kernel_tables: false,
        ..Config::new(CAPABILITY)
    };
    let bench = Bench::new(FEATURES, config, memory());
    bench.add_device(0x10, Some(32));
    bench.attach(&[(0x10, 1)]);
    let (result, cost) = shoot(&bench, &Invalidation::KernelTables);
    assert_eq!((result, cost.commands), (Ok(()), 0));
}
