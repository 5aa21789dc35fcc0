//! Bring-up, refusals and switching off.

use crate::fake::{
    Barriers, Bench, CAPABILITY, COMMAND_BASE, CONTROL, DEVICE_TABLE, EVENT_BASE, FEATURES, Fake,
    Lock, TestIommu, WITHOUT_ALL, memory, region, region_off_by, turns,
};
use crate::flushing::{pages, shoot, space};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::amd::{
    Config, DeviceTimeout, InitError, Memory, MemoryError, Unsupported,
};
use tlb_shootdown::secondary::{SecondaryError, SecondaryTlb};

fn made(features: u64, config: Config, memory: Memory) -> Result<TestIommu, InitError> {
    let fake = Fake::new(features);
    let barriers = Barriers::of(&fake);
    TestIommu::new(fake, barriers, Lock::default(), memory, config)
}

/// 48882 3.4: base registers with lengths, control bits; Linux `early_enable_iommu`.
#[test]
fn the_registers_say_where_everything_is() {
    let regions = memory();
    let place = |region: &tlb_shootdown::dma::DmaRegion| region.phys().raw();
    let (commands, devices) = (place(&regions.commands), place(&regions.devices));
    let events = place(regions.events.as_ref().unwrap());
    let bench = Bench::new(FEATURES, Config::new(CAPABILITY), regions);
    let inner = bench.fake.inner();
    assert_eq!(inner.register64(COMMAND_BASE), commands | 8 << 56);
    assert_eq!(inner.register64(EVENT_BASE), events | 8 << 56);
    assert_eq!(inner.register64(DEVICE_TABLE), devices);
    // GTEn, CmdBufEn, Coherent, InvTimeOut = 1 s, EventLogEn, IommuEn.
    assert_eq!(inner.register64(CONTROL), 0x1_1485);
    assert_eq!(inner.register64(0x20), 0);
    drop(inner);
    bench.fake.assert_rules_kept();
}

#[test]
fn what_firmware_found_out_stays() {
    let fake = Fake::new(FEATURES);
    // HtTunEn, PassPW, ResPassPW, Isoc, and with them an enabled IOMMU with an event log and PPR.
    fake.inner().set_register(CONTROL, 0xeb07);
    let lock = Lock::default();
    let config = Config {
        device_timeout: DeviceTimeout::Ms10,
        event_interrupt: true,
        ..Config::new(CAPABILITY)
    };
    let iommu = TestIommu::new(
        fake.clone(),
        Barriers::of(&fake),
        lock.clone(),
        memory(),
        config,
    );
    iommu.unwrap().init(&mut turns(&lock, 10)).unwrap();
    assert_eq!(fake.inner().register64(CONTROL), 0x1_1f4f);
}

/// A device that nobody has added reaches nothing: an entry that is not valid would let it through.
#[test]
fn promise_10_every_device_is_refused_at_first() {
    let bench = Bench::usual();
    for id in [0, 0x18, 127] {
        assert_eq!(bench.entry(id), [3, 0, 0, 0]);
    }
}

#[test]
fn what_an_earlier_owner_left_is_dropped() {
    let run = |features| {
        let fake = Fake::new(features);
        let lock = Lock::default();
        let (barriers, config) = (Barriers::of(&fake), Config::new(CAPABILITY));
        let iommu = TestIommu::new(fake.clone(), barriers, lock.clone(), memory(), config);
        iommu.unwrap().init(&mut turns(&lock, 5000)).unwrap();
        fake.assert_rules_kept();
        fake.take_invalidations()
    };
    assert_eq!(run(FEATURES), [[0x8000_0000_0000_0000, 0]]);
    let one_by_one = run(WITHOUT_ALL);
    assert_eq!(one_by_one.len(), 128 + 65536);
    assert_eq!(one_by_one[127], [0x2000_0000_0000_007f, 0]);
    assert_eq!(
        one_by_one[128 + 65535],
        [0x3000_ffff_0000_0000, 0x7fff_ffff_ffff_f003]
    );
}

#[test]
fn memory_that_cannot_be_used_is_refused() {
    let config = Config::new(CAPABILITY);
    let refused = |memory| made(FEATURES, config, memory).map(|_| ()).unwrap_err();
    let short = || region(4095, 4096);
    let skewed = || region_off_by(0x100, 8192, 4096);
    let mut cases = Vec::new();
    for commands in [short(), skewed()] {
        cases.push(Memory {
            commands,
            ..memory()
        });
    }
    for devices in [short(), skewed()] {
        cases.push(Memory {
            devices,
            ..memory()
        });
    }
    for events in [short(), skewed()] {
        cases.push(Memory {
            events: Some(events),
            ..memory()
        });
    }
    for completion in [region(4, 8), region_off_by(4, 8, 8)] {
        cases.push(Memory {
            completion,
            ..memory()
        });
    }
    let reasons = [MemoryError::TooShort, MemoryError::Misaligned]
        .into_iter()
        .cycle();
    for (memory, reason) in cases.into_iter().zip(reasons) {
        assert_eq!(refused(memory), InitError::Memory(reason));
    }
}

/// The status register, of 8 bytes, is the last that is needed (48882 3.4.14: offset 2020h).
#[test]
fn registers_that_are_not_all_mapped_are_refused() {
    let made = |mapped| {
        let fake = Fake::new(FEATURES);
        fake.inner().mapped = mapped;
        let barriers = Barriers::of(&fake);
        let config = Config::new(CAPABILITY);
        TestIommu::new(fake, barriers, Lock::default(), memory(), config).map(|_| ())
    };
    assert_eq!(made(0x2028), Ok(()));
    let refused = InitError::Unsupported(Unsupported::Registers);
    assert_eq!(made(0x2027), Err(refused));
}

/// Buffers of 256 to 32768 entries, whatever was given.
#[test]
fn buffers_are_powers_of_two() {
    for (bytes, code) in [
        (4096, 8),
        (8191, 8),
        (8192, 9),
        (524_288, 15),
        (1 << 20, 15),
    ] {
        let commands = region(bytes, 4096);
        let bench = Bench::new(
            FEATURES,
            Config::new(CAPABILITY),
            Memory {
                commands,
                ..memory()
            },
        );
        assert_eq!(bench.fake.inner().register64(COMMAND_BASE) >> 56, code);
    }
    let devices = region(2 << 20, 4096);
    let bench = Bench::new(
        FEATURES,
        Config::new(CAPABILITY),
        Memory {
            devices,
            ..memory()
        },
    );
    assert_eq!(bench.fake.inner().register64(DEVICE_TABLE) & 0xfff, 511);
}

/// Linux `iommu_set_cwwb_range`: base and limit name the one page that completions go to.
#[test]
fn promise_03_under_snp_completions_have_a_range() {
    let config = Config {
        snp: true,
        ..Config::new(CAPABILITY)
    };
    let regions = memory();
    let completion = regions.completion.phys().raw();
    let bench = Bench::new(FEATURES, config, regions);
    assert_eq!(bench.fake.inner().register64(0x20), completion);
    assert_eq!(bench.fake.inner().register64(0x28), completion);
    bench.add_host_device(0x10, None);
    let key = bench.attach_host(&[0x10]);
    assert_eq!(shoot(&bench, &space(key, pages(0x1000, 0x2000))).0, Ok(()));

    let unpaged = Memory {
        completion: region(8, 8),
        ..memory()
    };
    let refused = made(FEATURES, config, unpaged).map(|_| ()).unwrap_err();
    assert_eq!(refused, InitError::Memory(MemoryError::TooShort));
    let refused = made(FEATURES & !(1 << 63), config, memory()).map(|_| ());
    assert_eq!(
        refused.unwrap_err(),
        InitError::Unsupported(Unsupported::Snp)
    );
}

#[test]
fn an_iommu_that_does_not_start_is_reported_and_may_be_tried_again() {
    let fake = Fake::new(FEATURES);
    let lock = Lock::default();
    let (barriers, config) = (Barriers::of(&fake), Config::new(CAPABILITY));
    let iommu = TestIommu::new(fake.clone(), barriers, lock.clone(), memory(), config).unwrap();
    fake.inner().inertia = 50;
    assert_eq!(iommu.init(&mut turns(&lock, 10)), Err(InitError::Timeout));
    assert_eq!(iommu.init(&mut turns(&lock, 1000)), Ok(()));
    assert_eq!(iommu.init(&mut turns(&lock, 1000)), Err(InitError::Busy));
}

#[test]
fn promise_04_switched_off_with_a_fence_open_it_is_never_reached() {
    let bench = Bench::usual();
    bench.add_device(0x10, Some(32));
    let key = bench.attach(&[(0x10, 1)]);
    bench.fake.pace(crate::fake::Pace::Stalled);
    let mut cost = Cost::ZERO;
    let flush = space(key, pages(0x1000, 0x2000));
    bench.iommu.queue(&flush, &mut cost).unwrap();
    let mut fence = bench.iommu.seal(&mut cost);
    bench.iommu.disable(&mut turns(&bench.lock, 10)).unwrap();
    assert_eq!(
        bench.iommu.poll(&mut fence, &mut cost),
        std::task::Poll::Ready(Err(SecondaryError::QueueStopped))
    );
    let again = bench.iommu.init(&mut turns(&bench.lock, 10));
    assert_eq!(again, Err(InitError::Busy), "somebody may still wait");
}

/// What is flushed while it is off was told nobody, and is not reached by switching it on again either.
#[test]
fn promise_04_a_fence_of_an_iommu_that_is_off_says_so_for_ever() {
    let bench = Bench::usual();
    bench.add_device(0x10, Some(32));
    let key = bench.attach(&[(0x10, 1)]);
    bench.iommu.disable(&mut turns(&bench.lock, 10)).unwrap();
    let mut cost = Cost::ZERO;
    let flush = space(key, pages(0x1000, 0x2000));
    bench.iommu.queue(&flush, &mut cost).unwrap();
    let mut fence = bench.iommu.seal(&mut cost);
    bench.iommu.init(&mut turns(&bench.lock, 100)).unwrap();
    assert_eq!(
        bench.iommu.poll(&mut fence, &mut cost),
        std::task::Poll::Ready(Err(SecondaryError::QueueStopped))
    );
}

/// Head, tail and completions of an earlier life do not disturb the next.
#[test]
fn it_can_be_switched_off_and_on() {
    let bench = Bench::usual();
    for _ in 0..3 {
        bench.add_device(0x10, Some(32));
        let key = bench.attach(&[(0x10, 1)]);
        assert_eq!(shoot(&bench, &space(key, pages(0x1000, 0x2000))).0, Ok(()));
        bench.detach(key);
        let wait = &mut turns(&bench.lock, 100);
        let id = tlb_shootdown::iommu::amd::DeviceId(0x10);
        assert!(bench.iommu.remove_device(id, wait).unwrap().is_some());
        bench.iommu.disable(wait).unwrap();
        assert_eq!(bench.fake.inner().register64(CONTROL), 0);
        bench.iommu.init(wait).unwrap();
    }
    bench.fake.assert_rules_kept();
}
