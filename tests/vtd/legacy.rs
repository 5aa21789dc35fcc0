//! Legacy mode: domains of second-stage tables, and a queue of 128-bit descriptors (VT-d 9.1, 9.3 and 6.5.2; Linux `context_set_*` and
//! `QI_*`, QEMU `VTD_CONTEXT_ENTRY_*` and `VTD_INV_DESC_*`).

use crate::fake::{Bench, CAP, FSTS, Fake, GCMD, IQA, IQT, RTADDR, memory, turns, word};
use crate::flushing::{finish, pages, space, start};
use std::task::Poll;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::vtd::{
    AttachError, Config, Context, DeviceSetup, InitError, Levels, Mode, Pasid, SourceId,
    TranslationConfig, Unsupported, Vtd, pasid_table_bytes,
};
use tlb_shootdown::lock::CriticalSectionLock;
use tlb_shootdown::secondary::{Full, Needs, SecondaryError, SecondaryTlb};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::platform::ModelBarriers;

/// SAGAW 4: tables of four levels.
pub(crate) const LEGACY_CAP: u64 = CAP | 4 << 8;
/// C, QI, DT: no scalable mode, no PASIDs.
pub(crate) const LEGACY_ECAP: u64 = 7;

const DEVICE_ALL: [u64; 2] = [0x0000_0208_0004_0003, 0x7fff_ffff_ffff_f001];
/// Everything: context cache, then IOTLB.
const EVERYTHING: [[u64; 2]; 3] = [[0x11, 0], [0x65, 0], [0xd2, 0]];

pub(crate) fn legacy() -> Config {
    Config {
        mode: Mode::Legacy,
        ..Config::new()
    }
}

pub(crate) fn bench() -> Bench {
    bench_with(0)
}

/// One that has these of ECAP as well.
pub(crate) fn bench_with(ecap: u64) -> Bench {
    Bench::new(LEGACY_CAP, LEGACY_ECAP | ecap, legacy())
}

/// The two words of a device's context entry: root entries and context entries have 16 bytes each.
fn context(bench: &Bench, sid: u16) -> [u64; 2] {
    let root = bench.fake.inner().get(RTADDR) & !0xfff;
    let bus = usize::from(sid >> 8);
    assert_eq!(word(root, 2 * bus + 1), 0, "reserved in legacy mode");
    let table = word(root, 2 * bus);
    assert_eq!(table & 0xfff, 1);
    let function = usize::from(sid & 0xff);
    [0, 1].map(|at| word(table & !0xfff, 2 * function + at))
}

/// RTADDR.TTM 0, IQA.DW 0, and a tail that counts 16 bytes.
#[test]
fn a_narrow_queue_and_legacy_tables_are_programmed() {
    let bench = Bench::cold(LEGACY_CAP, LEGACY_ECAP, legacy());
    bench.vtd.init(&mut turns(&bench.lock, 10)).unwrap();
    let writes = std::mem::take(&mut bench.fake.inner().writes);
    let offsets: Vec<_> = writes.iter().map(|&(offset, _)| offset).collect();
    assert_eq!(offsets, [RTADDR, GCMD, 0x34, IQT, IQA, GCMD, IQT, GCMD]);
    assert_eq!((writes[0].1 & 0xfff, writes[4].1 & 0xfff), (0, 0));
    assert_eq!(writes[6].1, 4 * 16);
    let mut expected = EVERYTHING.to_vec();
    expected.push([0x25, 0]);
    assert_eq!(bench.fake.take_log(), expected);
    bench.fake.assert_rules_kept();
}

/// P, TT at 3:2 (1 with a device TLB), root; AW 2 at 66:64, the domain at 87:72. Functions from 128 on share the bus's table.
#[test]
fn context_entries_hold_the_manuals_words() {
    let bench = bench();
    bench.add_legacy_device(0x0288, true);
    bench.add_legacy_device(0x0208, false);
    assert_eq!(context(&bench, 0x0288), [0, 0], "nothing is translated yet");
    bench.attach(&[(0x0288, None)]);
    bench.attach(&[(0x0208, None)]);
    assert_eq!(context(&bench, 0x0288), [0x4_5678_9005, 0x0202]);
    assert_eq!(context(&bench, 0x0208), [0x4_5678_9001, 0x0302]);
}

/// What was cached of the absence carries domain 0: by device, then the domain's translations.
#[test]
fn an_attach_drops_the_cached_absence() {
    let bench = bench();
    bench.add_legacy_device(0x0208, false);
    bench.fake.take_log();
    let translation = TranslationConfig {
        root: PhysAddr::new(0x4_5678_9000),
        levels: Levels::Four,
    };
    let contexts = [Context {
        device: SourceId(0x0208),
        pasid: None,
    }];
    let mut patience = turns(&bench.lock, 10);
    let key = bench.vtd.attach(&contexts, &translation, &mut patience);
    key.unwrap();
    let expected = [
        [0x0000_0208_0000_0031, 0],
        [0x65, 0],
        [0x0002_00e2, 0],
        [0x25, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
    bench.fake.assert_rules_kept();
}

/// Types 2 (with both drains) and 3, and a wait: one wait and one doorbell, whatever the number of devices.
#[test]
fn promise_03_a_domain_is_flushed_by_page_then_its_device_tlbs() {
    let bench = bench();
    bench.add_legacy_device(0x0208, true);
    bench.add_legacy_device(0x0210, true);
    let key = bench.attach(&[(0x0208, None), (0x0210, None)]);
    let (fence, cost) = start(&bench, key, pages(0x1000, 0x5000));
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (3, 1, 1));
    assert_eq!(finish(&bench, fence), Ok(()));
    let mut log = bench.fake.take_log();
    log[1..3].sort();
    let expected = [
        [0x0002_00f2, 0x3],
        [0x0000_0208_0004_0003, 0x3001],
        [0x0000_0210_0004_0003, 0x3001],
        [0x25, 0],
    ];
    assert_eq!(log, expected);
    let (fence, _) = start(&bench, key, Flush::all());
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(bench.fake.take_log()[0], [0x0002_00e2, 0]);
    bench.fake.assert_rules_kept();
}

/// CAP.PSI, bit 39, and its MAMV.
#[test]
fn promise_11_pages_are_named_only_where_the_unit_can() {
    let of = |cap, bytes| {
        let bench = Bench::new(cap, LEGACY_ECAP, legacy());
        bench.add_legacy_device(0x0208, false);
        let key = bench.attach(&[(0x0208, None)]);
        let (fence, cost) = start(&bench, key, pages(0, bytes));
        assert_eq!(finish(&bench, fence), Ok(()));
        let log = bench.fake.take_log();
        (log[0], cost.commands, cost.escalations)
    };
    let whole = [0x0002_00e2, 0];
    assert_eq!(of(LEGACY_CAP & !(1 << 39), 0x1000), (whole, 1, 1));
    // MAMV = 2.
    let small = LEGACY_CAP & !(0x3f << 48) | 2 << 48;
    assert_eq!(of(small, 0x8000), ([0x0002_00f2, 0x2], 2, 0));
    assert_eq!(of(small, 0x11000), (whole, 1, 1));
}

/// P cleared, context cache, fence, IOTLB, device TLBs; only then may the domain stand for another table.
#[test]
fn promise_10_a_context_entry_goes_before_what_is_cached_by_it() {
    let bench = bench();
    bench.add_legacy_device(0x0208, true);
    let key = bench.attach(&[(0x0208, None)]);
    let mut cost = Cost::ZERO;
    bench.fake.inner().stalled = true;
    bench.vtd.release(key, &mut cost).unwrap();
    // P is gone and FPD set before anything is invalidated; the rest stays.
    assert_eq!(context(&bench, 0x0208), [0x4_5678_9006, 0x0202]);
    bench.fake.inner().stalled = false;
    let fence = bench.vtd.seal(&mut cost);
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (3, 2, 1));
    let (entries, domain) = ([0x0002_0021, 0], [0x0002_00e2, 0]);
    let expected = [entries, [0x65, 0], domain, DEVICE_ALL, [0x25, 0]];
    assert_eq!(bench.fake.take_log(), expected);
    bench.fake.inner().stalled = true;
    let mut never = || false;
    let late = bench.vtd.detach(key, &mut never);
    assert_eq!(late, Err(AttachError::Timeout(Some(key))));
    bench.assert_still_taken();
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    bench.fake.take_log();
    bench.vtd.detach(key, &mut turns(&bench.lock, 10)).unwrap();
    let expected = [entries, [0x65, 0], domain, [0x25, 0], DEVICE_ALL, [0x25, 0]];
    assert_eq!(bench.fake.take_log(), expected);
    assert_eq!(context(&bench, 0x0208), [0x2, 0]);
    bench.attach(&[(0x0208, None)]);
    assert_eq!(context(&bench, 0x0208), [0x4_5678_9005, 0x0202]);
    bench.fake.assert_rules_kept();
}

impl Bench {
    /// While the detach is not done the device has no place for another address space.
    fn assert_still_taken(&self) {
        let translation = TranslationConfig {
            root: PhysAddr::new(0x1000),
            levels: Levels::Four,
        };
        let contexts = [Context {
            device: SourceId(0x0208),
            pasid: None,
        }];
        let refused = self.vtd.reserve(&contexts, &translation);
        assert_eq!(refused, Err(AttachError::InUse));
    }
}

/// 256 entries less the gap, two for each shootdown; the tail wraps at 0x1000, and no lap is mistaken for another.
#[test]
fn promise_05_a_narrow_ring_fills_laps_and_drops_nothing() {
    let bench = bench();
    bench.add_legacy_device(0x0208, false);
    let key = bench.attach(&[(0x0208, None)]);
    for _ in 0..300 {
        let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
        assert_eq!(finish(&bench, fence), Ok(()));
    }
    bench.fake.take_log();
    bench.fake.inner().stalled = true;
    let mut fences = Vec::new();
    let mut cost = Cost::ZERO;
    while bench.vtd.queue(&space(key, pages(0, 0x1000)), &mut cost) != Err(Full) {
        fences.push(bench.vtd.seal(&mut cost));
        assert!(fences.len() < 256, "the ring is full at some time");
    }
    assert_eq!(fences.len(), 127);
    for fence in &mut fences {
        assert_eq!(bench.vtd.poll(fence, &mut cost), Poll::Pending);
    }
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    assert_eq!(bench.fake.take_log().len(), 254);
    for fence in fences {
        assert_eq!(finish(&bench, fence), Ok(()));
    }
    bench.fake.assert_rules_kept();
}

/// IQE at the second of three submissions that were fetched together: replaced where it stands, and everybody's fence is reached.
#[test]
fn promise_05_a_refused_descriptor_in_a_narrow_ring_stops_nobody() {
    let bench = bench();
    bench.add_legacy_device(0x0208, false);
    let key = bench.attach(&[(0x0208, None)]);
    bench.fake.inner().stalled = true;
    let fences = [0x1000, 0x2000, 0x3000].map(|at| start(&bench, key, pages(at, at + 0x1000)).0);
    bench.fake.inner().run(2);
    bench.fake.inner().refused.push((2, 1, 4));
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    assert_ne!(bench.fake.inner().get(FSTS & !7) >> 32 & 0x10, 0, "stopped");
    for fence in fences {
        assert_eq!(finish(&bench, fence), Ok(()));
    }
    let expected = [
        [0x0002_00f2, 0x1000],
        [0x25, 0],
        [0xd2, 0],
        [0x25, 0],
        [0x0002_00f2, 0x3000],
        [0x25, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
    bench.fake.assert_rules_kept();
}

/// ITE: everything of the unit again, then the device alone; it loses its context entry.
#[test]
fn promise_05_a_silent_device_of_a_domain_is_named() {
    let bench = bench();
    bench.add_legacy_device(0x0208, true);
    let key = bench.attach(&[(0x0208, None)]);
    bench.fake.inner().silent = Some(0x0208);
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    let expected = Err(SecondaryError::DeviceTimeout { device: 0x0208 });
    assert_eq!(finish(&bench, fence), expected);
    assert_eq!(context(&bench, 0x0208), [0, 0]);
    let log = bench.fake.take_log();
    assert_eq!(log[3..6], EVERYTHING);
    // Another install does not let it in again.
    let mut patience = turns(&bench.lock, 10);
    assert_eq!(bench.vtd.install(key, &mut patience), Ok(()));
    assert_eq!(context(&bench, 0x0208), [0, 0]);
    bench.fake.assert_rules_kept();
}

#[test]
fn what_legacy_mode_lacks_is_named() {
    let bench = bench();
    let mut patience = || true;
    let pasids = DeviceSetup {
        device: SourceId(0x0208),
        pasids: Some(crate::fake::region(pasid_table_bytes(1))),
        pasid_bits: 1,
        device_tlb: None,
        page_requests: false,
    };
    let unsupported = AttachError::Unsupported(Unsupported::Pasids);
    let refused = bench.vtd.add_device(pasids, &mut patience);
    assert_eq!(refused, Err(unsupported));
    bench.add_legacy_device(0x0208, false);
    let of = |pasid, levels| {
        let device = SourceId(0x0208);
        let root = PhysAddr::new(0x1000);
        let contexts = [Context { device, pasid }];
        let translation = TranslationConfig { root, levels };
        bench.vtd.reserve(&contexts, &translation).err()
    };
    assert_eq!(of(Pasid::new(1), Levels::Four), Some(unsupported));
    let size = AttachError::Unsupported(Unsupported::AddressSize);
    assert_eq!(of(None, Levels::Three), Some(size));
    assert_eq!(of(None, Levels::Five), Some(size));
    assert_eq!(of(None, Levels::Four), None);
    assert_eq!(bench.vtd.needs(), Needs::UPGRADES, "no kernel tables");
    let barriers = ModelBarriers::new(Model::new(1, tlb_shootdown_model::Temper::Kind));
    // No SAGAW.
    let unit = Fake::new(CAP, LEGACY_ECAP);
    let lock = CriticalSectionLock;
    let vtd: Result<Vtd<_, _, _>, _> = Vtd::new(unit, barriers, lock, memory(), legacy());
    let lacking = InitError::Unsupported(Unsupported::SecondStage);
    assert_eq!(vtd.err(), Some(lacking));
}

#[test]
fn a_device_leaves_without_a_pasid_cache() {
    let bench = bench();
    bench.add_legacy_device(0x0208, false);
    bench.fake.take_log();
    let mut patience = turns(&bench.lock, 10);
    let memory = bench.vtd.remove_device(SourceId(0x0208), &mut patience);
    assert!(memory.unwrap().is_none());
    let expected = [[0x0000_0208_0000_0031, 0], [0x65, 0], [0xd2, 0], [0x25, 0]];
    assert_eq!(bench.fake.take_log(), expected);
    bench.fake.assert_rules_kept();
}
