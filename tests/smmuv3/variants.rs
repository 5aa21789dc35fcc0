//! Completion by message and event, EL2, shared ASIDs, and the errata.

use crate::fake::{Bench, Ids, Pace, context, translation, turns};
use crate::flushing::{finish, pages, space, start};
use std::task::Poll;
use tlb_shootdown::address::VirtAddr;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::features::Features;
use tlb_shootdown::iommu::smmuv3::{
    Asid, AsidSource, Completion, Config, Regime, TranslationConfig,
};
use tlb_shootdown::secondary::{Needs, SecondaryTlb};

fn with(bits: u32, config: Config) -> Bench {
    let ids = Ids {
        idr0: Ids::usual().idr0 | bits,
        ..Ids::usual()
    };
    let bench = Bench::new(ids, 8, config);
    bench.add_stream(1, Some(12));
    bench.fake.take_log();
    bench
}

fn by_message() -> Bench {
    let config = Config {
        completion: Completion::Msi,
        ..Config::new()
    };
    with(1 << 13, config)
}

#[test]
fn completion_by_message_reads_no_consumer() {
    let bench = by_message();
    let key = bench.attach(&[(1, Some(1))]);
    let reads = bench.fake.inner().cons_reads;
    for n in 0..300 {
        let (fence, _) = start(&bench, key, pages(n << 12, (n + 1) << 12));
        assert_eq!(finish(&bench, fence), Ok(()));
    }
    let log = bench.fake.take_log();
    // Only the last CMD_SYNC of a submission carries the message; its data counts entries.
    let [plain, signalled] = [log[1], log[3]];
    assert_eq!(plain, [0x46, 0]);
    assert_eq!(signalled[0] & 0xffff_ffff, 0x0fc0_1046);
    assert_eq!(log[7][0] >> 32, (signalled[0] >> 32) + 4);
    let reads = bench.fake.inner().cons_reads - reads;
    assert!(reads < 10, "{reads} reads of CONS, to make room only");
    bench.fake.assert_rules_kept();
}

#[test]
fn a_message_that_aborts_hangs_nobody() {
    let bench = by_message();
    let key = bench.attach(&[(1, Some(1))]);
    bench.fake.inner().message_aborts = true;
    let (fence, _) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(bench.fake.inner().acknowledgements.pop(), Some(1 << 4));
    let (fence, _) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(finish(&bench, fence), Ok(()), "by CONS from now on");
    bench.fake.assert_rules_kept();
}

#[test]
fn promise_05_recovery_under_completion_by_message() {
    for (dead, expected) in [
        (
            true,
            Err(tlb_shootdown::secondary::SecondaryError::DeviceTimeout { device: 1 }),
        ),
        (false, Ok(())),
    ] {
        let bench = by_message();
        bench.add_stream(2, None);
        let key = bench.attach(&[(1, Some(1))]);
        let other = bench.attach(&[(2, Some(1))]);
        bench.fake.inner().dead.insert(1);
        let (fence, _) = start(&bench, key, pages(0, 0x1000));
        if !dead {
            bench.fake.inner().dead.clear();
        }
        // Open beside the recovery, whose CMD_SYNCs complete it without a message.
        let mut cost = Cost::ZERO;
        bench
            .smmu
            .queue(&space(other, pages(0, 0x1000)), &mut cost)
            .unwrap();
        assert_eq!(finish(&bench, fence), expected);
        let later = bench.smmu.seal(&mut cost);
        assert_eq!(finish(&bench, later), Ok(()));
        bench.fake.assert_rules_kept();
    }
}

#[test]
fn completion_by_event_signals_the_last_sync() {
    let config = Config {
        completion: Completion::Sev,
        ..Config::new()
    };
    let bench = with(1 << 14, config);
    let key = bench.attach(&[(1, Some(1))]);
    let (fence, _) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(finish(&bench, fence), Ok(()));
    let syncs: Vec<_> = bench
        .fake
        .take_log()
        .into_iter()
        .filter(|w| w[0] as u8 == 0x46)
        .collect();
    assert_eq!(syncs, [[0x46, 0], [0x2046, 0]]);
}

/// EL2 with VHE: TLBI_EL2_VA and TLBI_EL2_ASID, no VMID; STE.STRW = EL2.
#[test]
fn the_el2_host_regime() {
    let config = Config {
        regime: Regime::El2Host,
        ..Config::new()
    };
    let bench = with(1 << 9, config);
    let key = bench.attach(&[(1, Some(1))]);
    start(&bench, key, pages(0x1000, 0x2000));
    start(&bench, key, Flush::all());
    let tlbis: Vec<_> = bench
        .fake
        .take_log()
        .into_iter()
        .filter(|w| w[0] as u8 & 0xf0 == 0x20)
        .collect();
    assert_eq!(
        tlbis,
        [[0x1_0000_0000_0022, 0x1000], [0x1_0000_0000_0021, 0]]
    );
    let base = bench.fake.inner().register64(0x80) & 0x00ff_ffff_ffff_ffc0;
    // SAFETY: the second word of entry 1 of the live stream table.
    let word = unsafe { ((base + 64 + 8) as *const u64).read_volatile() };
    assert_eq!(word >> 30 & 3, 2);
    // A refused EL2 command is covered by TLBI_EL2_ALL.
    bench.fake.inner().illegal.push((0x22, 1));
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(bench.fake.take_log()[0], [0x20, 0]);
    bench.fake.assert_rules_kept();
}

/// BTM: the CPUs' broadcasts reach the SMMU's TLB and no device's (PTM = 0, ASET = 0).
#[test]
fn a_shared_asid_leaves_the_device_tlb_alone_to_commands() {
    let config = Config {
        broadcast: true,
        ..Config::new()
    };
    let bench = with(1 << 5, config);
    assert_eq!(
        bench.smmu.needs(),
        Needs::UPGRADES | Needs::SNOOPS_BROADCASTS
    );
    assert_eq!(bench.fake.inner().register(0x2c) & 0b100, 0, "CR2.PTM");
    let contexts = bench.add_stream(2, None);
    bench.fake.take_log();
    let translation = TranslationConfig {
        asid: AsidSource::Shared(Asid(0x77)),
        ..translation()
    };
    let to = [context(1, Some(1)), context(2, Some(1))];
    let key = bench
        .smmu
        .attach(&to, &translation, &mut turns(&bench.lock, 10))
        .unwrap();
    // SAFETY: the first word of entry 1 of a live context table.
    let control = unsafe { contexts.wrapping_add(8).read_volatile() };
    assert_eq!((control >> 48, control >> 47 & 1), (0x77, 0));
    bench.fake.take_log();
    let (fence, cost) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (1, 1, 1));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(bench.fake.take_log(), [[0x1_0000_1840, 0x1000], [0x46, 0]]);
    // A private one beside it does not get the shared number, and gets commands.
    let private = bench.attach(&[(2, Some(2))]);
    let (_, cost) = start(&bench, private, pages(0x1000, 0x2000));
    assert_eq!(cost.commands, 1);
    // Release does not rely on broadcasts.
    let mut cost = Cost::ZERO;
    bench.smmu.release(key, &mut cost).unwrap();
    bench.smmu.seal(&mut cost);
    assert!(bench.fake.take_log().contains(&[0x77_0000_0000_0011, 0]));
    bench.fake.assert_rules_kept();
}

/// Every CFGI and TLBI twice, each time with its CMD_SYNC; ATC_INV once.
#[test]
fn the_double_issue_erratum_repeats_commands_with_their_sync() {
    let config = Config {
        repeat_invalidations: true,
        ..Config::new()
    };
    let bench = Bench::new(Ids::usual(), 4, config);
    bench.add_stream(1, Some(12));
    assert_eq!(
        bench.fake.take_log(),
        [[0x1_0000_0003, 1], [0x46, 0], [0x1_0000_0003, 1], [0x46, 0]]
    );
    let key = bench.attach(&[(1, Some(1))]);
    for _ in 0..50 {
        let (fence, cost) = start(&bench, key, pages(0x1000, 0x2000));
        assert_eq!((cost.commands, cost.syncs, cost.doorbells), (3, 3, 1));
        assert_eq!(finish(&bench, fence), Ok(()));
        let tlbi = [0x1_0000_0000_0012, 0x1000];
        let expected = [
            tlbi,
            [0x46, 0],
            tlbi,
            [0x46, 0],
            [0x1_0000_1840, 0x1000],
            [0x46, 0],
        ];
        assert_eq!(bench.fake.take_log(), expected);
    }
    let mut cost = Cost::ZERO;
    bench.smmu.release(key, &mut cost).unwrap();
    assert_eq!(finish(&bench, bench.smmu.seal(&mut cost)), Ok(()));
    let opcodes: Vec<_> = bench.fake.take_log().iter().map(|w| w[0] as u8).collect();
    let round = [0x05, 0x46, 0x11, 0x46];
    assert_eq!(opcodes, [&round[..], &round[..], &[0x40, 0x46]].concat());
    bench.detach(key);
    bench.fake.assert_rules_kept();
}

/// Commands that wait for their seal are repeated from the ring, so they must not be written over although set-ups beside
/// them have let the SMMU consume them.
#[test]
fn a_repeat_finds_its_commands_although_others_went_ahead() {
    let config = Config {
        repeat_invalidations: true,
        ..Config::new()
    };
    let bench = Bench::new(Ids::usual(), 5, config);
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, Some(1))]);
    let mut cost = Cost::ZERO;
    bench
        .smmu
        .queue(&space(key, pages(0x7000, 0x8000)), &mut cost)
        .unwrap();
    let to = [context(1, Some(2))];
    let beside = bench.smmu.reserve(&to, &translation()).unwrap();
    // Sooner or later there is no room for more of them.
    let mut installed = 0;
    while bench
        .smmu
        .install(beside, &mut turns(&bench.lock, 10))
        .is_ok()
    {
        installed += 1;
        assert!(installed < 100, "the open command was written over");
    }
    assert!(installed > 0);
    let fence = bench.smmu.seal(&mut cost);
    assert_eq!(finish(&bench, fence), Ok(()));
    let log = bench.fake.take_log();
    assert_eq!(
        log.iter()
            .filter(|w| **w == [0x1_0000_0000_0012, 0x7000])
            .count(),
        2
    );
    bench.fake.assert_rules_kept();
}

/// MMU-700 2812531: no run of more than 63 commands without a CMD_SYNC.
#[test]
fn the_sync_often_erratum_breaks_long_runs() {
    let ids = Ids {
        iidr: 0x487 << 20 | 0x43b,
        idr3: 0,
        ..Ids::usual()
    };
    let bench = Bench::new(ids, 10, Config::new());
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, Some(1))]);
    let (fence, cost) = start(&bench, key, pages(0, 200 << 12));
    assert_eq!((cost.commands, cost.syncs), (200, 4));
    assert_eq!(finish(&bench, fence), Ok(()));
    let log = bench.fake.take_log();
    let longest = log.split(|w| w[0] as u8 == 0x46).map(<[_]>::len).max();
    assert_eq!(longest, Some(63));
}

/// Sources: the parts' errata as Linux `arm_smmu_device_iidr_probe` applies them.
#[test]
fn errata_take_features_away_by_part_number() {
    let all = 1 << 14 | 1 << 5;
    let probe = |part: u32, variant: u32, revision: u32| {
        let iidr = part << 20 | variant << 16 | revision << 12 | 0x43b;
        let features = Features::from_registers(all, 0, 0, 0, iidr);
        (features.sev, features.broadcast, features.sync_often)
    };
    assert_eq!(
        probe(0x483, 0, 2),
        (false, true, false),
        "MMU-600 r0p2: 1076982"
    );
    assert_eq!(probe(0x483, 1, 0), (true, true, false), "MMU-600 r1p0");
    assert_eq!(
        probe(0x487, 0, 1),
        (true, false, true),
        "MMU-700 r0p1: 2812531"
    );
    assert_eq!(
        probe(0x487, 1, 0),
        (true, false, true),
        "MMU-700 r1p0: 2812531"
    );
    assert_eq!(probe(0x487, 1, 1), (true, false, false), "MMU-700 r1p1");
    assert_eq!(probe(0x48a, 0, 0), (true, false, false), "MMU-L1");
    assert_eq!(probe(0x498, 3, 0), (true, false, false), "MMU S3");
    let other = Features::from_registers(all, 0, 0, 0, 0x483 << 20 | 0x123);
    assert!(other.sev && other.broadcast, "another implementer");
}

/// Level hints and leaf-only invalidation where both are known; whole walks otherwise.
#[test]
fn promise_08_walk_caches_go_unless_only_leaves_changed() {
    use tlb_shootdown::address::PageSize;
    let bench = with(0, Config::new());
    let key = bench.attach(&[(1, Some(1))]);
    let page = |size| Flush::page(VirtAddr::new(0x4000_0000), size);
    let range =
        tlb_shootdown::address::PageRange::page(VirtAddr::new(0x4000_0000), PageSize::MIB_2);
    for flush in [
        page(PageSize::KIB_4),
        page(PageSize::MIB_2),
        page(PageSize::GIB_1),
        Flush::pages(range),
    ] {
        start(&bench, key, flush);
    }
    let tlbis: Vec<_> = bench
        .fake
        .take_log()
        .into_iter()
        .filter(|w| w[0] as u8 == 0x12)
        .collect();
    let expected = [
        // TG 4 KiB, TTL 3, leaf.
        [0x1_0000_0000_0012, 0x4000_0701],
        // SCALE 9, TTL 2, leaf.
        [0x1_0000_0090_0012, 0x4000_0601],
        // SCALE 18, TTL 1, leaf.
        [0x1_0000_0120_0012, 0x4000_0501],
        // SCALE 9, any level, walk caches as well.
        [0x1_0000_0090_0012, 0x4000_0400],
    ];
    assert_eq!(tlbis, expected);
}

#[test]
fn a_poll_that_is_pending_sends_nothing() {
    let bench = with(0, Config::new());
    let key = bench.attach(&[(1, Some(1))]);
    bench.fake.pace(Pace::Stalled);
    let (mut fence, _) = start(&bench, key, pages(0, 0x1000));
    let mut cost = Cost::ZERO;
    assert_eq!(bench.smmu.poll(&mut fence, &mut cost), Poll::Pending);
    assert_eq!(cost, Cost::ZERO);
}

/// Where IDR0.COHACC is 0, everything that the SMMU reads is written back before it is told of it, and fetched uncached.
#[test]
fn memory_that_is_not_coherent_is_written_back() {
    let ids = Ids {
        idr0: Ids::usual().idr0 & !(1 << 4),
        ..Ids::usual()
    };
    let bench = Bench::new(ids, 8, Config::new());
    let covered = |from: u64, len: u64| {
        let inner = bench.fake.inner();
        let holds = |&(start, length): &(u64, u64)| start <= from && from + len <= start + length;
        inner.cleaned.iter().any(holds)
    };
    let base = |offset| bench.fake.inner().register64(offset) & 0x00ff_ffff_ffff_ffc0;
    let (streams, commands) = (base(0x80), base(0x90));
    assert!(covered(streams, 64 * 64), "the empty stream table");
    assert_eq!(
        bench.fake.inner().register(0x28),
        0x820,
        "CR1: non-cacheable, outer shareable"
    );
    bench.fake.inner().cleaned.clear();
    let contexts = bench.add_stream(1, None) as u64;
    assert!(covered(streams + 64, 64) && covered(contexts, 8 * 64));
    bench.fake.inner().cleaned.clear();
    let key = bench.attach(&[(1, Some(1))]);
    assert!(covered(contexts + 64, 64));
    bench.fake.inner().cleaned.clear();
    let at = u64::from(bench.fake.inner().register(0x98));
    start(&bench, key, pages(0, 0x1000));
    let written = [at, at + 1].map(|slot| (commands + 16 * slot, 16));
    assert_eq!(bench.fake.inner().cleaned, written, "and nothing else");
}
