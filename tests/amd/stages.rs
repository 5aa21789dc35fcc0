//! The second stage: who waits for it, what it still owes, and what becomes of it.

use crate::fake::{Barriers, Bench, CAPABILITY, FEATURES, Fake, Lock, Pace, memory, turns};
use crate::fake::{context, process, region};
use crate::flushing::{pages, poll_for, shoot, space};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::amd::{Config, DeviceId, DeviceKind, DeviceSetup, Iommu, gcr3_len};
use tlb_shootdown::secondary::{AttachKey, Fence, Invalidation, SecondaryError, SecondaryTlb};

fn start(bench: &Bench, key: AttachKey, page: u64) -> Fence {
    let mut cost = Cost::ZERO;
    let flush = pages(page << 12, (page + 1) << 12);
    bench.iommu.queue(&space(key, flush), &mut cost).unwrap();
    bench.iommu.seal(&mut cost)
}

fn polls(bench: &Bench, fence: &mut Fence, most: u32) -> Poll<Result<(), SecondaryError>> {
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
    let setup = DeviceSetup {
        device: DeviceId(0x70),
        kind: DeviceKind::Host,
        ats: None,
    };
    bench.fake.inner().dead.insert(0x10);
    bench.fake.inner().late_records = u32::MAX;
    let mut turns = 0;
    let added = bench.iommu.add_device(setup, &mut || {
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
    let fake = Fake::new(FEATURES);
    let lock = Lock::default();
    let barriers = Barriers::of(&fake);
    let config = Config::new(CAPABILITY);
    let iommu =
        Iommu::<_, _, _, 65, 128>::new(fake.clone(), barriers, lock.clone(), memory(), config);
    let iommu: &'static Iommu<_, _, _, 65, 128> = Box::leak(Box::new(iommu.unwrap()));
    let wait = || turns(&lock, 5000);
    iommu.init(&mut wait()).unwrap();
    let add = |id| {
        let kind = DeviceKind::Pasid {
            gcr3: region(gcr3_len(9), 4096),
            pasid_bits: 9,
            refuse_untagged: false,
        };
        let (device, ats) = (DeviceId(id), Some(32));
        iommu
            .add_device(DeviceSetup { device, kind, ats }, &mut wait())
            .unwrap();
    };
    (0..64).for_each(add);
    let attach = |id| {
        iommu
            .attach(&[context(id, Some(1))], &process(), &mut wait())
            .unwrap()
    };
    let start = |key| {
        let mut cost = Cost::ZERO;
        let flush = space(key, pages(0x1000, 0x2000));
        iommu.queue(&flush, &mut cost).unwrap();
        iommu.seal(&mut cost)
    };
    let finish = |fence: &mut Fence| {
        let mut looks = (0..2000).map(|_| iommu.poll(fence, &mut Cost::default()));
        looks.find(Poll::is_ready)
    };
    let first = attach(0);
    // Nothing is written between the seal and the coming of the other.
    let mut before = start(first);
    add(64);
    assert_eq!(finish(&mut before), Some(Poll::Ready(Ok(()))));
    fake.inner().dead.insert(64);
    let silent = SecondaryError::DeviceTimeout { device: 64 };
    let mut after = start(attach(64));
    assert_eq!(finish(&mut after), Some(Poll::Ready(Err(silent))));
    assert_eq!(finish(&mut before), Some(Poll::Ready(Ok(()))));
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
