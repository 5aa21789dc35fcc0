//! Devices and address spaces come and go: who is told, in which order, and what is refused.

use crate::fake::{
    Bench, CAPABILITY, FEATURES, Pace, context, host, memory, process, region, turns, words,
};
use crate::flushing::{pages, shoot, space};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::amd::{
    AttachError, Config, CpuLevels, DeviceId, DeviceKind, DeviceSetup, Memory, MemoryError,
    Translation, Unsupported, gcr3_len,
};
use tlb_shootdown::secondary::SecondaryTlb;

const ALL: u64 = 0x7fff_ffff_ffff_f000;

/// Told first, visible after: a flush that runs between the two finds the address space.
#[test]
fn promise_02_a_space_is_listed_before_any_table_leads_to_it() {
    let bench = Bench::usual();
    let gcr3 = bench.add_device(0x10, Some(32));
    let key = bench
        .iommu
        .reserve(&[context(0x10, Some(5))], &process())
        .unwrap();
    assert_eq!(words(gcr3, 5), [0]);
    let (result, cost) = shoot(&bench, &space(key, pages(0x1000, 0x2000)));
    assert_eq!((result, cost.commands), (Ok(()), 2), "it is told already");
    bench.fake.take_log();
    bench
        .iommu
        .install(key, &mut turns(&bench.lock, 10))
        .unwrap();
    assert_eq!(words(gcr3, 5), [0x4_5678_9001]);
    assert_eq!(
        bench.fake.take_invalidations(),
        [[0x3000_0001_0000_0005, ALL | 7]],
        "what was cached of its absence goes"
    );
    bench
        .iommu
        .install(key, &mut turns(&bench.lock, 10))
        .unwrap();
    bench.fake.assert_rules_kept();
}

/// The rights come last, and the table entry is invalidated.
#[test]
fn promise_02_a_host_table_is_listed_before_the_device_table_leads_to_it() {
    let bench = Bench::usual();
    bench.add_host_device(0x10, Some(32));
    let key = bench
        .iommu
        .reserve(&[context(0x10, None)], &host())
        .unwrap();
    assert_eq!(bench.entry(0x10), [3, 0, 0, 0]);
    let table = bench.table_of();
    let fake = bench.fake.clone();
    fake.inner().on_publish = Some(Box::new(move || {
        let seen: [u64; 2] = words(table as *const u64, 4 * 0x10);
        assert_eq!(seen, [3, 0x1_0000_0001], "no right before the tag");
    }));
    bench
        .iommu
        .install(key, &mut turns(&bench.lock, 10))
        .unwrap();
    assert_eq!(
        bench.entry(0x10),
        [0x6000_0001_2345_6603, 0x1_0000_0001, 0, 0]
    );
    assert_eq!(
        bench.fake.take_invalidations(),
        [[0x2000_0000_0000_0010, 0]]
    );
}

/// A detach keeps being told until nothing is cached any more.
#[test]
fn promise_02_a_detach_that_was_given_up_is_still_told() {
    let bench = Bench::usual();
    bench.add_device(0x10, None);
    let key = bench.attach(&[(0x10, 5)]);
    bench.fake.pace(Pace::Stalled);
    let given_up = bench.iommu.detach(key, &mut turns(&bench.lock, 5));
    assert_eq!(given_up, Err(AttachError::Timeout(Some(key))));
    let taken = bench.iommu.reserve(&[context(0x10, Some(5))], &process());
    assert_eq!(taken, Err(AttachError::InUse), "its context is not free");
    bench.fake.pace(Pace::AtRead(1));
    let (result, cost) = shoot(&bench, &space(key, pages(0x1000, 0x2000)));
    assert_eq!((result, cost.commands), (Ok(()), 1));
    bench.detach(key);
    let (result, cost) = shoot_nothing(&bench, key);
    assert_eq!((result, cost), (Ok(()), 0));
}

fn shoot_nothing(
    bench: &Bench,
    key: tlb_shootdown::secondary::AttachKey,
) -> (Result<(), tlb_shootdown::secondary::SecondaryError>, u32) {
    let (result, cost) = shoot(bench, &space(key, pages(0x1000, 0x2000)));
    (result, cost.commands)
}

/// Tags go round: each device with PASIDs has its own, each host table its own, and none is used twice.
#[test]
fn promise_07_a_tag_is_clean_when_it_is_used_again() {
    let bench = Bench::usual();
    bench.add_device(0x10, None);
    bench.add_host_device(0x11, None);
    bench.add_host_device(0x12, None);
    let first = bench.attach_host(&[0x11]);
    bench.attach_host(&[0x12]);
    assert_eq!(
        [0x10, 0x11, 0x12].map(|id| bench.entry(id)[1] & 0xffff),
        [1, 2, 3]
    );
    bench.detach(first);
    bench.attach_host(&[0x11]);
    assert_eq!(bench.entry(0x11)[1], 2);
    bench.fake.take_log();
    let wait = &mut turns(&bench.lock, 50);
    let memory = bench.iommu.remove_device(DeviceId(0x10), wait).unwrap();
    assert_eq!(memory.unwrap().len(), 4096);
    assert_eq!(
        bench.fake.take_invalidations(),
        [[0x2000_0000_0000_0010, 0], [0x3000_0001_0000_0000, ALL | 3]]
    );
    assert_eq!(bench.entry(0x10), [3, 0, 0, 0]);
    bench.add_device(0x13, None);
    assert_eq!(bench.entry(0x13)[1] & 0xffff, 1);
    bench.fake.assert_rules_kept();
}

fn add(bench: &Bench, kind: DeviceKind, ats: Option<u8>) -> Result<(), AttachError> {
    let device = DeviceId(0x20);
    let setup = DeviceSetup { device, kind, ats };
    bench.iommu.add_device(setup, &mut turns(&bench.lock, 10))
}

fn pasids(pasid_bits: u8, refuse_untagged: bool) -> DeviceKind {
    DeviceKind::Pasid {
        gcr3: region(gcr3_len(pasid_bits), 4096),
        pasid_bits,
        refuse_untagged,
    }
}

/// Linux `amd_iommu_pasid_supported`, `pdom_is_sva_capable`.
#[test]
fn what_the_implementation_lacks_is_refused() {
    let refused = |features: u64, change: fn(&mut Config), kind, ats| {
        let mut config = Config::new(CAPABILITY);
        change(&mut config);
        let bench = Bench::new(features, config, memory());
        match add(&bench, kind, ats) {
            Err(AttachError::Unsupported(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    let same = |_: &mut Config| {};
    let usual = || pasids(9, false);
    let cases = [
        (
            refused(FEATURES & !(1 << 4), same, usual(), None),
            Unsupported::GuestTranslation,
        ),
        (
            refused(FEATURES & !(1 << 1), same, usual(), None),
            Unsupported::PageRequests,
        ),
        (
            refused(FEATURES, |c| c.snp = true, usual(), None),
            Unsupported::PasidUnderSnp,
        ),
        (
            refused(FEATURES, |c| c.cpu_levels = CpuLevels::Five, usual(), None),
            Unsupported::Levels,
        ),
        (
            refused(FEATURES & !(3 << 14), same, pasids(10, false), None),
            Unsupported::PasidBits,
        ),
        (
            refused(FEATURES & !(16 << 32), same, pasids(9, false), None),
            Unsupported::PasidBits,
        ),
        (
            refused(FEATURES, same, pasids(0, false), None),
            Unsupported::PasidBits,
        ),
        (
            refused(FEATURES & !(1 << 48), same, pasids(9, true), None),
            Unsupported::RefuseUntagged,
        ),
        (
            refused(FEATURES, |c| c.capability = 1 << 27, usual(), Some(1)),
            Unsupported::DeviceTlbs,
        ),
        (
            refused(FEATURES, same, DeviceKind::Host, Some(33)),
            Unsupported::DeviceTlbs,
        ),
        (
            refused(FEATURES, same, DeviceKind::Host, Some(0)),
            Unsupported::DeviceTlbs,
        ),
    ];
    for (what, expected) in cases {
        assert_eq!(what, expected);
    }
    let events = None;
    let bench = Bench::new(
        FEATURES,
        Config::new(CAPABILITY),
        Memory { events, ..memory() },
    );
    let silent = Err(Unsupported::DeviceTlbsWithoutEvents.into());
    assert_eq!(add(&bench, DeviceKind::Host, Some(32)), silent);
    let five = FEATURES | 1 << 12;
    let config = Config {
        cpu_levels: CpuLevels::Five,
        ..Config::new(CAPABILITY)
    };
    let bench = Bench::new(five, config, memory());
    assert_eq!(add(&bench, pasids(20, true), Some(32)), Ok(()));
    // GCR3 of three levels, GIoV, and five levels for processes.
    let entry = bench.entry(0x20);
    assert_eq!(entry[0] >> 54 & 0xf, 0b1011);
    assert_eq!(entry[2], 1 << 54);
}

#[test]
fn devices_that_cannot_be_added_are_refused() {
    let bench = Bench::usual();
    bench.add_device(0x20, None);
    assert_eq!(add(&bench, DeviceKind::Host, None), Err(AttachError::InUse));
    let wait = &mut turns(&bench.lock, 10);
    let beyond = DeviceSetup {
        device: DeviceId(128),
        kind: DeviceKind::Host,
        ats: None,
    };
    assert_eq!(
        bench.iommu.add_device(beyond, wait),
        Err(AttachError::UnknownDevice)
    );
    let bench = Bench::usual();
    let gcr3 = region(4096, 4096);
    let kind = DeviceKind::Pasid {
        gcr3,
        pasid_bits: 10,
        refuse_untagged: false,
    };
    let short = Err(AttachError::Memory(MemoryError::TooShort));
    assert_eq!(add(&bench, kind, None), short);
}

#[test]
fn contexts_that_cannot_be_used_are_refused() {
    let bench = Bench::usual();
    bench.add_device(0x10, None);
    bench.add_host_device(0x11, None);
    let reserve = |contexts: &[_], translation| bench.iommu.reserve(contexts, translation);
    let (process, host) = (&process(), &host());
    let with = |id, pasid| context(id, Some(pasid));
    assert_eq!(reserve(&[], process), Err(AttachError::UnknownDevice));
    assert_eq!(
        reserve(&[with(0x12, 1)], process),
        Err(AttachError::UnknownDevice)
    );
    let unknown = Err(AttachError::UnknownContext);
    assert_eq!(reserve(&[with(0x10, 0)], process), unknown);
    assert_eq!(reserve(&[with(0x10, 512)], process), unknown);
    assert_eq!(reserve(&[context(0x10, None)], process), unknown);
    assert_eq!(reserve(&[with(0x11, 1)], process), unknown);
    assert_eq!(reserve(&[with(0x10, 1)], host), unknown);
    assert_eq!(reserve(&[context(0x10, None)], host), unknown);
    let twice = [with(0x10, 1), with(0x10, 1)];
    assert_eq!(reserve(&twice, process), Err(AttachError::InUse));
    let key = reserve(&[with(0x10, 511), with(0x10, 1)], process).unwrap();
    assert_eq!(
        reserve(&[with(0x10, 511)], process),
        Err(AttachError::InUse)
    );
    let in_use = bench
        .iommu
        .remove_device(DeviceId(0x10), &mut turns(&bench.lock, 10));
    assert_eq!(in_use.map(|_| ()), Err(AttachError::InUse));
    bench.detach(key);
    let stale = bench.iommu.install(key, &mut turns(&bench.lock, 10));
    assert_eq!(stale, Err(AttachError::UnknownKey));
}

#[test]
fn tables_that_cannot_be_walked_are_refused() {
    let bench = Bench::usual();
    bench.add_device(0x10, None);
    bench.add_host_device(0x11, None);
    for root in [0x1800, 1 << 52] {
        let root = PhysAddr::new(root);
        let refused = Err(Unsupported::Root.into());
        let of_process = bench
            .iommu
            .reserve(&[context(0x10, Some(1))], &Translation::Process { root });
        assert_eq!(of_process, refused);
        let levels = 4;
        let of_host = bench
            .iommu
            .reserve(&[context(0x11, None)], &Translation::Host { root, levels });
        assert_eq!(of_host, refused);
    }
    for levels in [0, 5] {
        let root = PhysAddr::new(0x1000);
        let refused = bench
            .iommu
            .reserve(&[context(0x11, None)], &Translation::Host { root, levels });
        assert_eq!(refused, Err(Unsupported::Levels.into()));
    }
}

#[test]
fn slots_run_out() {
    let bench = Bench::usual();
    bench.add_device(0x10, None);
    let keys: Vec<_> = (1..=64)
        .map(|pasid| bench.attach(&[(0x10, pasid)]))
        .collect();
    let refused = bench.iommu.reserve(&[context(0x10, Some(65))], &process());
    assert_eq!(refused, Err(AttachError::NoSlot));
    bench.detach(keys[7]);
    bench.attach(&[(0x10, 65)]);
    let mut cost = tlb_shootdown::cost::Cost::ZERO;
    assert_eq!(
        bench.iommu.release(keys[7], &mut cost),
        Ok(()),
        "a stale key names nothing"
    );
    assert_eq!(cost.commands, 0);
}
