//! Set-up: order, registers, and memory that cannot be used.

use crate::fake::{
    Barriers, Bench, Fake, Ids, Lock, Pace, TestSmmu, memory, region, region_off_by, turns,
};
use tlb_shootdown::iommu::smmuv3::{
    Completion, Config, InitError, MemoryError, Regime, Smmu, Unsupported,
};

fn build(
    ids: Ids,
    memory: tlb_shootdown::iommu::smmuv3::Memory,
    config: Config,
) -> Result<TestSmmu, InitError> {
    let fake = Fake::new(ids);
    Smmu::new(
        fake.clone(),
        Barriers::of(&fake),
        Lock::default(),
        memory,
        config,
    )
}

/// Page 0, and with an event queue as much of page 1 as has SMMU_EVENTQ_CONS at its end (IHI 0070 6.3.32: offset 0x100ac).
#[test]
fn registers_that_are_not_all_mapped_are_refused() {
    let made = |mapped, with_events: bool| {
        let fake = Fake::new(Ids::usual());
        fake.inner().mapped = mapped;
        let (barriers, mut memory) = (Barriers::of(&fake), memory(8));
        if !with_events {
            memory.events = None;
        }
        let smmu = TestSmmu::new(fake, barriers, Lock::default(), memory, Config::new());
        smmu.map(|_| ())
    };
    let refused = Err(InitError::Unsupported(Unsupported::Stage1));
    assert_eq!(
        (made(0x1_0000, false), made(0xffff, false)),
        (Ok(()), refused)
    );
    assert_eq!(
        (made(0x1_00b0, true), made(0x1_00af, true)),
        (Ok(()), refused)
    );
}

#[test]
fn registers_and_first_commands() {
    let fake = Fake::new(Ids::usual());
    let lock = Lock::default();
    let memory = memory(8);
    let (commands, streams) = (memory.commands.phys().raw(), memory.streams.phys().raw());
    // An error that an earlier owner left active is acknowledged before anything else.
    fake.inner().set_register(0x60, 0x5);
    fake.inner().set_register(0x64, 0x1);
    let smmu: TestSmmu = Smmu::new(
        fake.clone(),
        Barriers::of(&fake),
        lock.clone(),
        memory,
        Config::new(),
    )
    .unwrap();
    smmu.init(&mut turns(&lock, 10)).unwrap();
    let mut inner = fake.inner();
    assert_eq!(inner.register64(0x90), commands | 1 << 62 | 8, "CMDQ_BASE");
    assert_eq!(inner.register64(0x80), streams | 1 << 62, "STRTAB_BASE");
    assert_eq!(
        inner.register(0x88),
        6,
        "STRTAB_BASE_CFG: linear, 64 streams"
    );
    assert_eq!(
        inner.register(0x28),
        0xd75,
        "CR1: write-back, inner shareable"
    );
    assert_eq!(inner.register(0x2c), 0b110, "CR2: PTM, RECINVSID");
    assert_eq!(
        inner.register(0x20),
        0b1_1101,
        "CR0: ATSCHK, CMDQEN, EVENTQEN, SMMUEN"
    );
    assert_eq!(inner.register(0x64), 0x5, "GERRORN");
    // CFGI_ALL, CMD_SYNC, TLBI_NSNH_ALL, CMD_SYNC (IHI 0070 6.3.26).
    assert_eq!(
        inner.take_log(),
        [[0x4, 31], [0x46, 0], [0x30, 0], [0x46, 0]]
    );
    drop(inner);
    fake.assert_rules_kept();
    assert_eq!(smmu.init(&mut turns(&lock, 10)), Err(InitError::Busy));
}

#[test]
fn el2_entries_are_dropped_where_there_can_be_any() {
    let mut ids = Ids::usual();
    ids.idr0 |= 1 << 9;
    let fake = Fake::new(ids);
    let lock = Lock::default();
    let config = Config {
        regime: Regime::El2Host,
        ..Config::new()
    };
    let smmu: TestSmmu = Smmu::new(
        fake.clone(),
        Barriers::of(&fake),
        lock.clone(),
        memory(8),
        config,
    )
    .unwrap();
    smmu.init(&mut turns(&lock, 10)).unwrap();
    let expected = [[0x4, 31], [0x46, 0], [0x20, 0], [0x30, 0], [0x46, 0]];
    assert_eq!(fake.take_log(), expected);
    assert_eq!(fake.inner().register(0x2c), 0b111, "CR2: E2H as well");
}

#[test]
fn promise_12_a_silent_smmu_times_out_by_the_callers_clock() {
    let fake = Fake::new(Ids::usual());
    fake.inner().acknowledges = false;
    fake.inner().set_register(0x24, 1);
    let lock = Lock::default();
    let smmu: TestSmmu = Smmu::new(
        fake.clone(),
        Barriers::of(&fake),
        lock.clone(),
        memory(8),
        Config::new(),
    )
    .unwrap();
    assert_eq!(smmu.init(&mut turns(&lock, 10)), Err(InitError::Timeout));
    fake.inner().acknowledges = true;
    // Up, but its queue does not move.
    fake.pace(Pace::Stalled);
    assert_eq!(smmu.init(&mut turns(&lock, 10)), Err(InitError::Timeout));
    fake.pace(Pace::AtDoorbell);
    assert_eq!(smmu.init(&mut turns(&lock, 10)), Ok(()));
}

#[test]
fn memory_that_cannot_be_used_is_refused() {
    let usual = Ids::usual();
    let error = |memory, config| build(usual, memory, config).unwrap_err();
    let mut short = memory(8);
    short.commands = region(16 * 4, 64);
    assert_eq!(error(short, Config::new()), InitError::QueueTooSmall);
    let mut off = memory(8);
    off.commands = region_off_by(2048, 4096, 4096);
    assert_eq!(
        error(off, Config::new()),
        InitError::Memory(MemoryError::Misaligned)
    );
    let mut streams = memory(8);
    streams.streams = region(32, 64);
    assert_eq!(
        error(streams, Config::new()),
        InitError::Memory(MemoryError::TooShort)
    );
    let mut events = memory(8);
    events.events = Some(region_off_by(32, 4096, 4096));
    assert_eq!(
        error(events, Config::new()),
        InitError::Memory(MemoryError::Misaligned)
    );
    let mut narrow = usual;
    narrow.idr5 = 7 << 4;
    let far = build(narrow, memory(8), Config::new()).unwrap_err();
    assert_eq!(far, InitError::Memory(MemoryError::OutOfReach));
    let repeat = Config {
        repeat_invalidations: true,
        ..Config::new()
    };
    assert_eq!(error(memory(3), repeat), InitError::QueueTooSmall);
    assert!(build(usual, memory(3), Config::new()).is_ok());
}

#[test]
fn what_the_implementation_lacks_is_named() {
    let with = |change: fn(&mut Config)| {
        let mut config = Config::new();
        change(&mut config);
        build(Ids::usual(), memory(8), config).unwrap_err()
    };
    let lacks = InitError::Unsupported;
    assert_eq!(
        with(|config| config.regime = Regime::El2Host),
        lacks(Unsupported::El2)
    );
    assert_eq!(
        with(|config| config.broadcast = true),
        lacks(Unsupported::Broadcast)
    );
    assert_eq!(
        with(|config| config.completion = Completion::Msi),
        lacks(Unsupported::Msi)
    );
    assert_eq!(
        with(|config| config.completion = Completion::Sev),
        lacks(Unsupported::Sev)
    );
    let mut ids = Ids::usual();
    ids.idr0 &= !2;
    let error = build(ids, memory(8), Config::new()).unwrap_err();
    assert_eq!(error, lacks(Unsupported::Stage1));
}

#[test]
fn events_are_read_in_order_across_the_wrap() {
    let memory = memory(8);
    let events = memory.events.as_ref().unwrap().virt().cast::<u64>();
    let fake = Fake::new(Ids::usual());
    let lock = Lock::default();
    let smmu: TestSmmu = Smmu::new(
        fake.clone(),
        Barriers::of(&fake),
        lock.clone(),
        memory,
        Config::new(),
    )
    .unwrap();
    smmu.init(&mut turns(&lock, 10)).unwrap();
    assert_eq!(smmu.next_event(), None);
    for n in 0..40u32 {
        let slot = (n % 16) as usize;
        // F_PERMISSION of stream n, a write to n pages (IHI 0070 7.3.16).
        for (word, value) in [u64::from(n) << 32 | 0x13, 0, u64::from(n) << 12, 0]
            .into_iter()
            .enumerate()
        {
            let place = events.as_ptr().wrapping_add(4 * slot + word);
            // SAFETY: one of 16 records of 4 words.
            unsafe { place.write_volatile(value) };
        }
        fake.inner().set_register(0x1_00a8, (n + 1) & 0x1f);
        let event = smmu.next_event().unwrap();
        assert_eq!((event.kind(), event.stream().0), (0x13, n));
        assert_eq!(
            (event.address().raw(), event.is_read()),
            (u64::from(n) << 12, false)
        );
        assert_eq!(fake.inner().register(0x1_00ac), (n + 1) & 0x1f);
        assert_eq!(smmu.next_event(), None);
    }
}

#[test]
fn switched_off_it_says_so_to_whoever_waits() {
    use std::task::Poll;
    use tlb_shootdown::cost::Cost;
    use tlb_shootdown::secondary::{SecondaryError, SecondaryTlb};
    let bench = Bench::usual();
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    bench.fake.pace(crate::fake::Pace::Stalled);
    let (mut fence, _) = crate::flushing::start(&bench, key, crate::flushing::pages(0, 0x1000));
    bench.smmu.disable(&mut turns(&bench.lock, 10)).unwrap();
    assert_eq!(bench.fake.inner().register(0x20), 0);
    let poll = bench.smmu.poll(&mut fence, &mut Cost::default());
    assert_eq!(poll, Poll::Ready(Err(SecondaryError::QueueStopped)));
    assert_eq!(
        bench.smmu.init(&mut turns(&bench.lock, 10)),
        Err(InitError::Busy)
    );
}

#[test]
fn before_its_bring_up_nothing_is_submitted() {
    use tlb_shootdown::iommu::smmuv3::{AttachError, StreamId, StreamSetup};
    use tlb_shootdown::secondary::SecondaryError;
    let fake = Fake::new(Ids::usual());
    let lock = Lock::default();
    let smmu: TestSmmu = Smmu::new(
        fake.clone(),
        Barriers::of(&fake),
        lock.clone(),
        memory(8),
        Config::new(),
    )
    .unwrap();
    let setup = StreamSetup {
        stream: StreamId(1),
        contexts: region(64, 64),
        substream_bits: 0,
        ats: None,
    };
    let early = smmu.add_stream(setup, &mut turns(&lock, 10));
    assert_eq!(
        early,
        Err(AttachError::Failed(SecondaryError::QueueStopped))
    );
    assert_eq!(fake.inner().register(0x98), 0);
    smmu.init(&mut turns(&lock, 10)).unwrap();
    smmu.remove_stream(StreamId(1), &mut turns(&lock, 10))
        .unwrap();
    fake.assert_rules_kept();
}

/// A second bring-up discards what is in the queue: whoever submits while it waits must not find its fence reached.
#[test]
fn promise_03_a_repeated_bring_up_proves_nothing() {
    use std::task::Poll;
    use tlb_shootdown::cost::Cost;
    use tlb_shootdown::secondary::SecondaryTlb;
    let bench = Bench::usual();
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    bench.smmu.disable(&mut turns(&bench.lock, 10)).unwrap();
    // The first one fails behind its commands.
    bench.fake.pace(Pace::Stalled);
    let mut turns_left = 2;
    let first = bench.smmu.init(&mut || {
        let mut inner = bench.fake.inner();
        inner.acknowledges = false;
        inner.run(u32::MAX);
        turns_left -= 1;
        turns_left > 0
    });
    assert_eq!(first, Err(InitError::Timeout));
    bench.fake.pace(Pace::AtDoorbell);
    let mut fence = None;
    let second = bench.smmu.init(&mut || {
        let flush = crate::flushing::pages(0, 0x1000);
        fence.get_or_insert_with(|| crate::flushing::start(&bench, key, flush).0);
        bench.fake.inner().acknowledges = true;
        bench.fake.inner().set_register(0x24, 0);
        true
    });
    assert_eq!(second, Ok(()));
    let poll = bench.smmu.poll(&mut fence.unwrap(), &mut Cost::default());
    assert_ne!(poll, Poll::Ready(Ok(())));
}

/// What is flushed while the SMMU is off was told nobody, and is not reached by switching it on again either.
#[test]
fn promise_04_a_fence_of_an_smmu_that_is_off_says_so_for_ever() {
    use std::task::Poll;
    use tlb_shootdown::cost::Cost;
    use tlb_shootdown::secondary::{SecondaryError, SecondaryTlb};
    let bench = Bench::usual();
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    bench.smmu.disable(&mut turns(&bench.lock, 10)).unwrap();
    let (mut fence, mut cost) =
        crate::flushing::start(&bench, key, crate::flushing::pages(0, 0x1000));
    let stopped = Poll::Ready(Err(SecondaryError::QueueStopped));
    assert_eq!(bench.smmu.poll(&mut fence, &mut cost), stopped);
    bench.smmu.init(&mut turns(&bench.lock, 10)).unwrap();
    assert_eq!(bench.smmu.poll(&mut fence, &mut Cost::default()), stopped);
}
