//! Streams and address spaces: tables as the SMMU reads them, order, stale keys, refusals.

use crate::fake::{Bench, Ids, Pace, context, region, region_off_by, translation, turns};
use crate::flushing::{finish, pages, space, start};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::{
    Asid, AsidSource, AttachError, Config, Granule, MemoryError, StreamId, StreamSetup,
    TableUpdates, TranslationConfig, Unsupported,
};
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};

fn words<const N: usize>(at: *const u64) -> [u64; N] {
    // SAFETY: a table entry of 8 words, which lives for ever.
    std::array::from_fn(|word| unsafe { at.wrapping_add(word).read_volatile() })
}

fn stream_table_entry(bench: &Bench, sid: u32) -> [u64; 8] {
    let base = bench.fake.inner().register64(0x80) & 0x00ff_ffff_ffff_ffc0;
    words((base + 64 * u64::from(sid)) as *const u64)
}

/// IHI 0070 5.2; Linux STRTAB_STE_0_* and STRTAB_STE_1_*.
#[test]
fn a_stream_table_entry_as_the_manual_lays_it_out() {
    let bench = Bench::usual();
    let contexts = bench.add_stream(5, Some(12)) as u64;
    // V, stage 1, S1CDMax 3; S1DSS = substream 0, write-back inner-shareable fetches, EATS.
    let expected = [contexts | 0xb | 3 << 59, 0x1000_00d6, 0, 0, 0, 0, 0, 0];
    assert_eq!(stream_table_entry(&bench, 5), expected);
    // CFGI_STE of stream 5, leaf; CMD_SYNC.
    assert_eq!(bench.fake.take_log(), [[0x5_0000_0003, 1], [0x46, 0]]);
    let region = bench
        .smmu
        .remove_stream(StreamId(5), &mut turns(&bench.lock, 10))
        .unwrap();
    assert_eq!(region.phys().raw(), contexts);
    assert_eq!(stream_table_entry(&bench, 5), [0; 8]);
    assert_eq!(bench.fake.take_log(), [[0x5_0000_0003, 1], [0x46, 0]]);
}

/// The second word without substreams, coherence or device TLB, where IDR0.STALL_MODEL and IDR1.ATTR_TYPES_OVR ask for more: S1STALLD,
/// SHCFG = incoming, fetches non-cacheable and outer shareable (IHI 0070 5.2).
#[test]
fn a_stream_table_entry_says_what_the_implementation_asks_for() {
    let usual = Ids::usual();
    let ids = Ids {
        idr0: usual.idr0 & !(3 << 24 | 1 << 4),
        idr1: usual.idr1 | 1 << 27,
        ..usual
    };
    let bench = Bench::new(ids, 8, Config::new());
    bench.fake.inner().cleaned.clear();
    let setup = StreamSetup {
        stream: StreamId(5),
        contexts: region(64, 64),
        substream_bits: 0,
        ats: None,
    };
    let wait = &mut turns(&bench.lock, 10);
    bench.smmu.add_stream(setup, wait).unwrap();
    let [first, second, ..] = stream_table_entry(&bench, 5);
    assert_eq!((first & 0x3f, first >> 59), (0xb, 0));
    assert_eq!(second, 1 << 44 | 1 << 27 | 0x80);
    let base = bench.fake.inner().register64(0x80) & 0x00ff_ffff_ffff_ffc0;
    let inner = bench.fake.inner();
    assert!(inner.cleaned.contains(&(base + 64 * 5, 64)), "it alone");
}

/// An entry is valid after its rest is there, and invalid before its rest is gone (IHI 0070 3.21.3).
#[test]
fn promise_01_a_stream_table_entry_is_never_valid_by_half() {
    let bench = Bench::usual();
    let base = bench.fake.inner().register64(0x80) & 0x00ff_ffff_ffff_ffc0;
    let seen = std::sync::Arc::new(std::sync::Mutex::new([0; 2]));
    let look = || {
        let seen = seen.clone();
        let look = move || *seen.lock().unwrap() = words((base + 64 * 5) as *const u64);
        bench.fake.inner().on_publish = Some(Box::new(look));
    };
    look();
    bench.add_stream(5, None);
    assert_eq!(*seen.lock().unwrap(), [0, 0xd6], "added");
    let [valid, ..] = stream_table_entry(&bench, 5);
    assert_eq!(valid & 1, 1);
    look();
    let wait = &mut turns(&bench.lock, 10);
    bench.smmu.remove_stream(StreamId(5), wait).unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 0xd6], "removed");
}

/// IHI 0070 5.4; Linux CTXDESC_CD_0_*; QEMU CD_*.
#[test]
fn a_context_descriptor_as_the_manual_lays_it_out() {
    let bench = Bench::usual();
    let contexts = bench.add_stream(5, None);
    let key = bench.attach(&[(5, Some(3))]);
    // T0SZ 16, WB WB ISH, EPD1, V, IPS 48 bits, AA64, R, A, ASET, ASID 1.
    let expected = [
        0x0001_e205_c000_3510,
        0x4_5678_9000,
        0,
        0xff44_0c04,
        0,
        0,
        0,
        0,
    ];
    assert_eq!(words(contexts.wrapping_add(8 * 3)), expected);
    assert_eq!(words(contexts), [0; 8]);
    bench.detach(key);
    assert_eq!(words::<1>(contexts.wrapping_add(8 * 3)), [0]);
}

#[test]
fn granule_and_updates_are_encoded() {
    let bench = Bench::new(
        Ids {
            idr0: Ids::usual().idr0 | 2 << 6,
            ..Ids::usual()
        },
        8,
        Config::new(),
    );
    let contexts = bench.add_stream(5, None);
    let cases = [
        (1, Granule::Kib64, TableUpdates::AccessFlag, 1 << 6, 1 << 43),
        (
            2,
            Granule::Kib16,
            TableUpdates::AccessFlagAndDirty,
            2 << 6,
            3 << 42,
        ),
    ];
    for (ssid, granule, updates, tg0, flags) in cases {
        let translation = TranslationConfig {
            granule,
            updates,
            ..translation()
        };
        let to = [context(5, Some(ssid))];
        bench
            .smmu
            .attach(&to, &translation, &mut turns(&bench.lock, 10))
            .unwrap();
        let [control] = words(contexts.wrapping_add(8 * ssid as usize));
        assert_eq!(control & 0xc0, tg0);
        assert_eq!(control & 3 << 42, flags);
    }
}

/// The list is published before the table entry, so a flush that runs in between finds the address space.
#[test]
fn promise_02_an_attaching_space_is_found_before_it_can_be_walked() {
    let bench = Bench::usual();
    let contexts = bench.add_stream(5, None) as usize;
    let smmu = bench.smmu;
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let report = seen.clone();
    bench.fake.inner().on_publish = Some(Box::new(move || {
        let mut cost = Cost::ZERO;
        // The first space has this key.
        smmu.queue(&space(AttachKey(0), Flush::all()), &mut cost)
            .unwrap();
        let [control] = words((contexts + 64) as *const u64);
        *report.lock().unwrap() = Some((cost.commands, control));
    }));
    let key = smmu.attach(
        &[context(5, Some(1))],
        &translation(),
        &mut turns(&bench.lock, 10),
    );
    assert_eq!(key, Ok(AttachKey(0)));
    assert_eq!(
        *seen.lock().unwrap(),
        Some((1, 0)),
        "listed, and not yet valid"
    );
}

#[test]
fn promise_02_a_detaching_space_is_found_until_it_is_gone() {
    let bench = Bench::usual();
    bench.add_stream(5, Some(12));
    let key = bench.attach(&[(5, Some(1))]);
    bench.fake.pace(Pace::Stalled);
    let timeout = bench.smmu.detach(key, &mut turns(&bench.lock, 5));
    assert_eq!(timeout, Err(AttachError::Timeout(Some(key))));
    let (_, cost) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(cost.commands, 2, "still told");
    let again = bench.smmu.install(key, &mut turns(&bench.lock, 5));
    assert_eq!(again, Err(AttachError::Released));
    bench.fake.pace(Pace::AtRead(1));
    bench.detach(key);
    bench.fake.take_log();
    let (fence, cost) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(cost, Cost::ZERO);
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.fake.assert_rules_kept();
}

/// CFGI_CD, CMD_SYNC, TLBI by ASID, CMD_SYNC, ATC_INV of everything, CMD_SYNC.
#[test]
fn promise_07_an_asid_is_clean_before_it_is_used_again() {
    let bench = Bench::usual();
    bench.add_stream(5, Some(12));
    let first = bench.attach(&[(5, Some(1))]);
    let second = bench.attach(&[(5, Some(2))]);
    bench.detach(first);
    let expected = [
        [0x5_0000_1005, 1],
        [0x46, 0],
        [0x1_0000_0000_0011, 0],
        [0x46, 0],
        [0x5_0000_1840, 52],
        [0x46, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
    let third = bench.attach(&[(5, Some(1))]);
    assert_ne!(third, first, "an old key names nothing");
    start(&bench, second, Flush::all());
    start(&bench, third, Flush::all());
    let asids: Vec<_> = bench
        .fake
        .take_log()
        .iter()
        .filter(|w| w[0] as u8 == 0x11)
        .map(|w| w[0] >> 48)
        .collect();
    assert_eq!(asids, [2, 1]);
    bench.fake.assert_rules_kept();
}

#[test]
fn a_stale_key_is_harmless() {
    let bench = Bench::usual();
    bench.add_stream(5, Some(12));
    let key = bench.attach(&[(5, Some(1))]);
    bench.detach(key);
    bench.fake.take_log();
    for stale in [
        key,
        AttachKey(u64::MAX),
        AttachKey(63),
        AttachKey(64),
        AttachKey(1 << 40),
    ] {
        let mut cost = Cost::ZERO;
        bench
            .smmu
            .queue(&space(stale, Flush::all()), &mut cost)
            .unwrap();
        bench.smmu.release(stale, &mut cost).unwrap();
        let fence = bench.smmu.seal(&mut cost);
        assert_eq!(finish(&bench, fence), Ok(()));
        assert_eq!(cost, Cost::ZERO);
        assert_eq!(bench.smmu.detach(stale, &mut turns(&bench.lock, 5)), Ok(()));
    }
    assert!(bench.fake.take_log().is_empty());
}

#[test]
fn streams_that_cannot_be_added_are_refused() {
    let bench = Bench::usual();
    let mut wait = turns(&bench.lock, 10);
    let mut add = |stream, contexts, substream_bits, ats| {
        let setup = StreamSetup {
            stream: StreamId(stream),
            contexts,
            substream_bits,
            ats,
        };
        bench.smmu.add_stream(setup, &mut wait).unwrap_err()
    };
    assert_eq!(
        add(1, region(64, 64), 1, None),
        AttachError::Memory(MemoryError::TooShort)
    );
    assert_eq!(
        add(1, region_off_by(64, 128, 128), 1, None),
        AttachError::Memory(MemoryError::Misaligned)
    );
    assert_eq!(add(64, region(64, 64), 0, None), AttachError::UnknownStream);
    assert_eq!(
        add(1, region(64, 64), 9, None),
        AttachError::Unsupported(Unsupported::Substreams)
    );
    assert_eq!(
        add(1, region(64, 64), 0, Some(11)),
        AttachError::Unsupported(Unsupported::Ats)
    );
    assert_eq!(
        add(1, region(64, 64), 0, Some(64)),
        AttachError::Unsupported(Unsupported::Ats)
    );
    bench.add_stream(1, None);
    assert_eq!(add(1, region(64, 64), 0, None), AttachError::InUse);
    assert_eq!(stream_table_entry(&bench, 2), [0; 8]);
}

#[test]
fn address_spaces_that_cannot_be_attached_are_refused() {
    let bench = Bench::usual();
    bench.add_stream(1, None);
    let attach = |contexts: &[(u32, Option<u32>)], change: fn(&mut TranslationConfig)| {
        let contexts: Vec<_> = contexts
            .iter()
            .map(|&(sid, ssid)| context(sid, ssid))
            .collect();
        let mut translation = translation();
        change(&mut translation);
        bench
            .smmu
            .attach(&contexts, &translation, &mut turns(&bench.lock, 10))
            .unwrap_err()
    };
    let same: fn(&mut TranslationConfig) = |_| {};
    assert_eq!(attach(&[], same), AttachError::UnknownStream);
    assert_eq!(attach(&[(2, None)], same), AttachError::UnknownStream);
    assert_eq!(attach(&[(1, Some(8))], same), AttachError::UnknownContext);
    assert_eq!(attach(&[(1, Some(0))], same), AttachError::UnknownContext);
    assert_eq!(
        attach(&[(1, Some(2)), (1, Some(2))], same),
        AttachError::InUse
    );
    let size = AttachError::Unsupported(Unsupported::AddressSize);
    for wrong in [
        (|t| t.t0sz = 15) as fn(&mut TranslationConfig),
        |t| t.t0sz = 40,
        |t| t.t0sz = 255,
        |t| t.ips = 6,
        |t| t.ips = 7,
        |t| t.root = tlb_shootdown::address::PhysAddr::new(0x20),
        |t| t.root = tlb_shootdown::address::PhysAddr::new(1 << 48),
    ] {
        assert_eq!(attach(&[(1, None)], wrong), size);
    }
    let updates = AttachError::Unsupported(Unsupported::TableUpdates);
    assert_eq!(
        attach(&[(1, None)], |t| t.updates = TableUpdates::AccessFlag),
        updates
    );
    let shared = AttachError::Unsupported(Unsupported::Broadcast);
    assert_eq!(
        attach(&[(1, None)], |t| t.asid = AsidSource::Shared(Asid(7))),
        shared
    );
    bench.attach(&[(1, None)]);
    assert_eq!(attach(&[(1, None)], same), AttachError::InUse);
    let removed = bench
        .smmu
        .remove_stream(StreamId(1), &mut turns(&bench.lock, 10));
    assert_eq!(removed.unwrap_err(), AttachError::InUse);
}

#[test]
fn eight_bit_asids_run_out_by_a_typed_error() {
    let ids = Ids {
        idr0: Ids::usual().idr0 & !(1 << 12) | 1 << 5,
        ..Ids::usual()
    };
    let config = Config {
        broadcast: true,
        ..Config::new()
    };
    let bench = Bench::new(ids, 8, config);
    bench.add_stream(1, None);
    let mut wide = translation();
    wide.asid = AsidSource::Shared(Asid(0x100));
    let attach = |translation: &TranslationConfig, ssid| {
        bench.smmu.attach(
            &[context(1, Some(ssid))],
            translation,
            &mut turns(&bench.lock, 10),
        )
    };
    assert_eq!(attach(&wide, 1), Err(AttachError::AsidInUse));
    wide.asid = AsidSource::Shared(Asid(0xff));
    assert!(attach(&wide, 1).is_ok());
    assert_eq!(attach(&wide, 2), Err(AttachError::AsidInUse));
}

#[test]
fn a_queue_too_small_for_a_space_refuses_it() {
    let bench = Bench::new(Ids::usual(), 3, Config::new());
    for sid in 0..3 {
        bench.add_stream(sid, Some(12));
    }
    let two: Vec<_> = (0..2).map(|sid| context(sid, Some(1))).collect();
    assert!(
        bench
            .smmu
            .attach(&two, &translation(), &mut turns(&bench.lock, 10))
            .is_ok()
    );
    let three: Vec<_> = (0..3).map(|sid| context(sid, Some(2))).collect();
    let refused = bench
        .smmu
        .attach(&three, &translation(), &mut turns(&bench.lock, 10));
    assert_eq!(refused, Err(AttachError::QueueTooSmall));
}

/// The engine is told of the key between the two: from then on no flush is missed, and nothing was walked before.
#[test]
fn promise_02_reserve_comes_before_the_engine_and_install_after() {
    let bench = Bench::usual();
    let contexts = bench.add_stream(5, None);
    bench.fake.take_log();
    let key = bench
        .smmu
        .reserve(&[context(5, Some(1))], &translation())
        .unwrap();
    assert_eq!(words::<1>(contexts.wrapping_add(8)), [0]);
    assert!(bench.fake.take_log().is_empty());
    let (fence, cost) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(cost.commands, 1);
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.fake.take_log();
    for _ in 0..2 {
        bench
            .smmu
            .install(key, &mut turns(&bench.lock, 10))
            .unwrap();
        assert_eq!(
            words::<1>(contexts.wrapping_add(8)),
            [0x0001_e205_c000_3510]
        );
        assert_eq!(bench.fake.take_log(), [[0x5_0000_1005, 1], [0x46, 0]]);
    }
    bench.detach(key);
    let stale = bench.smmu.install(key, &mut turns(&bench.lock, 10));
    assert_eq!(stale, Err(AttachError::UnknownKey));
}

/// The address space ended between the two: it must not be walked after all.
#[test]
fn promise_10_a_released_space_is_not_installed() {
    let bench = Bench::usual();
    let contexts = bench.add_stream(5, None);
    let key = bench
        .smmu
        .reserve(&[context(5, Some(1))], &translation())
        .unwrap();
    let mut cost = Cost::ZERO;
    bench.smmu.release(key, &mut cost).unwrap();
    assert_eq!(finish(&bench, bench.smmu.seal(&mut cost)), Ok(()));
    let refused = bench.smmu.install(key, &mut turns(&bench.lock, 10));
    assert_eq!(refused, Err(AttachError::Released));
    assert_eq!(words::<1>(contexts.wrapping_add(8)), [0]);
    bench.detach(key);
}

/// Two remove a device at once and a third adds it again in between: the slower one does not get the new table, which the SMMU
/// reads.
#[test]
fn promise_04_a_removal_overtaken_by_another_gives_nothing_back() {
    let bench = Bench::usual();
    bench.add_stream(1, None);
    bench.fake.pace(Pace::Stalled);
    let mut overtaken = false;
    let removed = bench.smmu.remove_stream(StreamId(1), &mut || {
        if !core::mem::replace(&mut overtaken, true) {
            bench.fake.pace(Pace::AtDoorbell);
            bench.fake.inner().run(u32::MAX);
            let faster = &mut turns(&bench.lock, 10);
            bench.smmu.remove_stream(StreamId(1), faster).unwrap();
            bench.add_stream(1, None);
        }
        true
    });
    assert!(overtaken);
    assert_eq!(removed.err(), Some(AttachError::UnknownStream));
}
