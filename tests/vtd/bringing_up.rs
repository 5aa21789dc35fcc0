//! The order of set-up, and the tables that it builds.

use crate::fake::{Bench, CAP, ECAP, Fake, GCMD, GSTS, IQA, IQT, RTADDR, memory, turns, word};
use crate::flushing::{finish, pages, start};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::vtd::{
    Config, Context, DomainId, InitError, Levels, Pasid, SourceId, TranslationConfig, Unsupported,
    Vtd,
};
use tlb_shootdown::lock::CriticalSectionLock;
use tlb_shootdown::secondary::{SecondaryError, SecondaryTlb};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::platform::ModelBarriers;

/// GCMD: SRTP bit 30, QIE bit 26, TE bit 31 (11.4.4); RTADDR.TTM 01 at bits 11:10; IQA.DW bit 11.
#[test]
fn registers_are_written_in_the_manuals_order() {
    let bench = Bench::cold(CAP, ECAP, Config::new());
    bench.vtd.init(&mut turns(&bench.lock, 10)).unwrap();
    let writes = std::mem::take(&mut bench.fake.inner().writes);
    let offsets: Vec<_> = writes.iter().map(|&(offset, _)| offset).collect();
    assert_eq!(offsets, [RTADDR, GCMD, 0x34, IQT, IQA, GCMD, IQT, GCMD]);
    assert_eq!(writes[0].1 & 0xfff, 0x400);
    assert_eq!(writes[1].1, 0x4000_0000);
    assert_eq!(
        writes[4].1 & 0xfff,
        0x800,
        "one page of 256-bit descriptors"
    );
    assert_eq!(writes[5].1, 0x0400_0000);
    assert_eq!(writes[6].1, 6 * 32);
    assert_eq!(writes[7].1, 0x8400_0000);
    // Context cache, PASID cache, IOTLB with both drains, each all and each behind the last.
    let expected = [
        [0x11, 0],
        [0x65, 0],
        [0x37, 0],
        [0x65, 0],
        [0xd2, 0],
        [0x25, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
    bench.fake.assert_rules_kept();
}

/// Translation and queue go off first; interrupt remapping, bit 25, stays on in every command.
#[test]
fn what_the_firmware_left_on_is_switched_off_first() {
    let bench = Bench::cold(CAP, ECAP, Config::new());
    bench.fake.inner().set(GSTS & !7, 0x8600_0000 << 32);
    bench.vtd.init(&mut turns(&bench.lock, 10)).unwrap();
    let inner = bench.fake.inner();
    let commands: Vec<_> = inner
        .writes
        .iter()
        .filter(|(offset, _)| *offset == GCMD)
        .map(|&(_, value)| value)
        .collect();
    assert_eq!(
        commands,
        [
            0x0600_0000,
            0x0200_0000,
            0x4200_0000,
            0x0600_0000,
            0x8600_0000
        ]
    );
}

/// Root entry: P, table. Context entry: P, DTE bit 2, PASIDE bit 3, PDTS. Directory entry: P, page.
/// PASID entry: P, AW 2 at 4:2, PGTT 1 at 8:6; domain and PWSNP bit 87; root and NXE bit 133.
#[test]
fn tables_hold_the_manuals_words() {
    let bench = Bench::cold(CAP, ECAP, Config::new());
    bench.vtd.init(&mut turns(&bench.lock, 10)).unwrap();
    let pasids = bench.add_device(0x0288, true);
    bench.attach(&[(0x0288, Some(0x123))]);
    bench.attach(&[(0x0288, None)]);
    let root = bench.fake.inner().get(RTADDR) & !0xfff;
    // Bus 2, upper half, for function 0x88.
    let half = word(root, 5);
    assert_eq!(half & 0xfff, 1);
    let context = word(half & !0xfff, 8 * 4);
    assert_eq!(context, pasids | 0b1101);
    assert_eq!(word(half & !0xfff, 8 * 4 + 1), 0);
    // PASID 0x123 is entry 0x23 of the page of directory entry 4.
    let page = word(pasids, 4);
    assert_eq!(page, pasids + 0x1000 + 4 * 0x1000 + 1);
    let entry = |index: usize| -> [u64; 4] {
        std::array::from_fn(|at| word(pasids + 0x1000, index * 8 + at))
    };
    assert_eq!(entry(0x123), [0x49, 0x80_0001, 0x4_5678_9020, 0]);
    // Requests without PASID: the second address space has domain 3.
    assert_eq!(entry(0), [0x49, 0x80_0003, 0x4_5678_9020, 0]);
}

/// With five levels: AW 3, and FSPM 1 in bits 131:130 (9.6; Linux `pasid_set_flpm`).
#[test]
fn a_table_of_five_levels_is_said_to_be_one() {
    let bench = Bench::new(CAP | 1 << 60, ECAP, Config::new());
    let pasids = bench.add_device(0x0288, true);
    let contexts = [Context {
        device: SourceId(0x0288),
        pasid: Pasid::new(0x123),
    }];
    let translation = TranslationConfig {
        root: PhysAddr::new(0x4_5678_9000),
        levels: Levels::Five,
    };
    let wait = &mut turns(&bench.lock, 10);
    bench.vtd.attach(&contexts, &translation, wait).unwrap();
    let entry: [u64; 4] = std::array::from_fn(|at| word(pasids + 0x1000, 0x123 * 8 + at));
    assert_eq!(entry, [0x4d, 0x80_0001, 0x4_5678_9024, 0]);
}

#[test]
fn what_a_unit_lacks_is_named() {
    let refused = |cap, ecap, config| {
        let model = Model::new(1, tlb_shootdown_model::Temper::Kind);
        let barriers = ModelBarriers::new(model);
        let vtd: Result<Vtd<_, _, _>, _> = Vtd::new(
            Fake::new(cap, ecap),
            barriers,
            CriticalSectionLock,
            memory(),
            config,
        );
        vtd.err()
    };
    let unsupported = |what| Some(InitError::Unsupported(what));
    let usual = Config::new();
    for bit in [40, 43, 47] {
        let without = refused(CAP, ECAP & !(1 << bit), usual);
        assert_eq!(without, unsupported(Unsupported::FirstStage), "{bit}");
    }
    let without = refused(CAP, ECAP & !2, usual);
    assert_eq!(without, unsupported(Unsupported::QueuedInvalidation));
    let zero = Config {
        domain: DomainId(0),
        ..usual
    };
    assert_eq!(refused(CAP, ECAP, zero), unsupported(Unsupported::Domain));
    let large = Config {
        domain: DomainId(16),
        ..usual
    };
    // ND = 0: 4 bits.
    assert_eq!(
        refused(CAP & !7, ECAP, large),
        unsupported(Unsupported::Domain)
    );
}

#[test]
fn a_unit_that_does_not_acknowledge_is_given_up() {
    let bench = Bench::cold(CAP, ECAP, Config::new());
    bench.fake.inner().acknowledges = false;
    let refused = bench.vtd.init(&mut turns(&bench.lock, 10));
    assert_eq!(refused, Err(InitError::Timeout));
    bench.fake.inner().acknowledges = true;
    assert_eq!(bench.vtd.init(&mut turns(&bench.lock, 10)), Ok(()));
    let again = bench.vtd.init(&mut turns(&bench.lock, 10));
    assert_eq!(again, Err(InitError::Busy));
}

/// Nothing was ever submitted that could be looked for.
#[test]
fn a_unit_that_was_never_up_is_off_and_says_so() {
    let bench = Bench::cold(CAP, ECAP, Config::new());
    assert_eq!(bench.vtd.disable(&mut turns(&bench.lock, 10)), Ok(()));
    let fence = bench.vtd.seal(&mut Cost::default());
    assert_eq!(finish(&bench, fence), Err(SecondaryError::QueueStopped));
    assert_eq!(bench.fake.inner().writes, []);
}

/// What is flushed while the unit is off was told nobody, and is not reached by switching it on again either.
#[test]
fn promise_04_a_fence_of_a_unit_that_is_off_says_so_for_ever() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.vtd.disable(&mut turns(&bench.lock, 10)).unwrap();
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Err(SecondaryError::QueueStopped));
    bench.vtd.init(&mut turns(&bench.lock, 10)).unwrap();
    assert_eq!(finish(&bench, fence), Err(SecondaryError::QueueStopped));
}
