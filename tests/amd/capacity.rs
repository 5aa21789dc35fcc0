//! How much the buffer takes before it is full: 255 entries, of which some are set aside for what is to follow.

use crate::fake::{
    Bench, CAPABILITY, COMMAND_TAIL, FEATURES, Pace, WITHOUT_ALL, context, host, host_device,
    memory,
};
use crate::flushing::{pages, poll_for, shoot, space};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::amd::{AttachError, Config};
use tlb_shootdown::secondary::{AttachKey, Full, Invalidation, SecondaryTlb};

const WITH: Option<u8> = Some(32);

/// Devices in one address space, with a TLB of their own or without.
fn bench(features: u64, devices: &[Option<u8>]) -> (Bench, AttachKey) {
    let bench = Bench::new(features, Config::new(CAPABILITY), memory());
    for (id, &device) in (0..).zip(devices) {
        bench.add_device(id, device);
    }
    let contexts: Vec<_> = (0..devices.len() as u16).map(|id| (id, 1)).collect();
    let key = bench.attach(&contexts);
    bench.fake.pace(Pace::Stalled);
    (bench, key)
}

/// A host table on two devices, so many of them with a TLB, and a process on one without.
fn host_and_process(tlbs: usize) -> (Bench, AttachKey, AttachKey) {
    let bench = Bench::usual();
    let hosts = [0x10, 0x11];
    for (n, id) in hosts.into_iter().enumerate() {
        bench.add_host_device(id, WITH.filter(|_| n < tlbs));
    }
    bench.add_device(0x20, None);
    let ends = bench.attach_host(&hosts);
    let key = bench.attach(&[(0x20, 1)]);
    bench.fake.pace(Pace::Stalled);
    (bench, ends, key)
}

/// So many pages, from an odd one on: two of them are two blocks.
fn blocks(key: AttachKey, n: u64, blocks: u64) -> Invalidation {
    let start = 0x7000 + (n << 16);
    space(key, pages(start, start + (blocks << 12)))
}

/// How often it is taken while the IOMMU stands still, each sealed or all together. All of it is then complete.
fn taken(bench: &Bench, sealed: bool, invalidation: impl Fn(u64) -> Invalidation) -> usize {
    let mut cost = Cost::ZERO;
    let mut fences = Vec::new();
    let mut seal = |cost: &mut Cost| fences.push(bench.iommu.seal(cost));
    let mut taken = 0;
    while bench.iommu.queue(&invalidation(taken), &mut cost) != Err(Full) {
        taken += 1;
        assert!(taken < 256, "there are no more entries");
        if sealed {
            seal(&mut cost);
        }
    }
    seal(&mut cost);
    bench.fake.pace(Pace::AtRead(1));
    for fence in &mut fences {
        let answer = poll_for(bench, fence, &mut cost, 4000);
        assert_eq!(answer, Poll::Ready(Ok(())));
    }
    taken as usize
}

/// Of n requests with p commands and d for devices' TLBs each: n * p of them and one wait, or one for each that is sealed; where there are
/// any for devices, n * d and one wait for those, one for those to come, and one in case that they are of another kind.
/// At most 127 commands for devices, half of the buffer, wait at a time.
#[test]
fn promise_05_the_buffer_takes_what_it_has_room_to_finish() {
    let one_each = &[WITH; 2][..];
    for (devices, blocks_each, sealed, expected) in [
        (&[None][..], 1, false, 254),
        (&[None], 1, true, 127),
        (&[None], 2, false, 127),
        (&[None], 2, true, 85),
        (&[WITH], 1, false, 125),
        (&[WITH], 1, true, 84),
        (&[WITH], 2, false, 62),
        (&[WITH], 2, true, 50),
        (&[None, WITH], 1, false, 83),
        (&[None, WITH], 1, true, 63),
        (one_each, 1, false, 62),
        (one_each, 1, true, 50),
        (one_each, 2, true, 28),
    ] {
        let (bench, key) = bench(FEATURES, devices);
        let taken = taken(&bench, sealed, |n| blocks(key, n, blocks_each));
        assert_eq!(taken, expected, "{devices:?}, {blocks_each}, {sealed}");
        bench.fake.assert_rules_kept();
    }
}

/// INVALIDATE_IOMMU_ALL is one command, whoever has a process table; devices have one each.
#[test]
fn promise_05_freed_kernel_tables_take_their_room() {
    for (features, devices, sealed, expected) in [
        (FEATURES, &[None; 2][..], false, 254),
        (FEATURES, &[None, WITH], false, 125),
        (FEATURES, &[WITH; 2], false, 63),
        (FEATURES, &[WITH; 2], true, 63),
        (FEATURES, &[WITH; 3], false, 42),
        (WITHOUT_ALL, &[None; 2], false, 127),
        (WITHOUT_ALL, &[None, WITH], false, 83),
        (WITHOUT_ALL, &[WITH; 3], true, 36),
    ] {
        let (bench, _) = bench(features, devices);
        let taken = taken(&bench, sealed, |_| Invalidation::KernelTables);
        assert_eq!(taken, expected, "{devices:?}, {sealed}");
    }
}

/// A host table's end leaves two kinds of commands for later, the IOMMU's own and the devices': each kind has its wait. The request beside it
/// has one entry.
#[test]
fn promise_05_kinds_of_later_commands_have_a_wait_each() {
    for (tlbs, expected) in [(0, 250), (1, 248), (2, 247)] {
        let (bench, ends, key) = host_and_process(tlbs);
        bench.iommu.release(ends, &mut Cost::default()).unwrap();
        let taken = taken(&bench, false, |n| blocks(key, n, 1));
        assert_eq!(taken, expected, "{tlbs} with a TLB");
    }
}

/// 63 times two devices and one more are 127 commands for devices: as many as may wait, and none above.
#[test]
fn promise_05_as_many_commands_for_devices_wait_as_may() {
    let bench = Bench::usual();
    let keys = [0x10, 0x11].map(|id| {
        bench.add_device(id, WITH);
        bench.attach(&[(id, 1)])
    });
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    for _ in 0..63 {
        let queued = bench.iommu.queue(&Invalidation::KernelTables, &mut cost);
        assert_eq!(queued, Ok(()));
    }
    let mut one = |n| bench.iommu.queue(&blocks(keys[0], n, 1), &mut cost);
    assert_eq!((one(0), one(1)), (Ok(()), Err(Full)));
}

/// The end of a host table on two devices without TLB: their two commands, the seal, and for later one, its wait, one where the kind changes and one
/// in case.
#[test]
fn promise_05_an_end_asks_for_the_waits_between_its_kinds() {
    for (queued, expected) in [(248, Ok(())), (249, Err(Full))] {
        let (bench, ends, key) = host_and_process(0);
        let mut cost = Cost::ZERO;
        for n in 0..queued {
            bench.iommu.queue(&blocks(key, n, 1), &mut cost).unwrap();
        }
        let released = bench.iommu.release(ends, &mut cost);
        assert_eq!(released, expected, "{queued}");
    }
}

/// A completion that nobody has looked at has made room.
#[test]
fn promise_12_room_is_looked_for_before_it_is_denied() {
    let (bench, key) = bench(FEATURES, &[None]);
    let mut cost = Cost::ZERO;
    let mut queue = |n| bench.iommu.queue(&blocks(key, n, 1), &mut cost);
    assert!((0..254).all(|n| queue(n) == Ok(())));
    assert_eq!(queue(254), Err(Full));
    bench.iommu.seal(&mut Cost::default());
    bench.fake.run(255);
    let mut cost = Cost::ZERO;
    assert_eq!(bench.iommu.queue(&blocks(key, 255, 1), &mut cost), Ok(()));
}

/// Two blocks, where those fit into an empty buffer: 2 (p + d) commands, the seal, a wait for the devices' and one in case, and no more
/// than 127 for devices.
#[test]
fn promise_11_two_blocks_are_one_of_everything_where_they_never_fit() {
    for (without, with, escalations) in [(64, 0, 0), (2, 62, 0), (1, 63, 1), (0, 63, 0), (0, 64, 1)]
    {
        let devices = [vec![None; without], vec![WITH; with]].concat();
        let (bench, key) = bench(FEATURES, &devices);
        bench.fake.pace(Pace::AtDoorbell);
        let (result, cost) = shoot(&bench, &blocks(key, 0, 2));
        assert_eq!(result, Ok(()));
        assert_eq!(cost.escalations, escalations, "{without} and {with}");
    }
}

/// How many entries have been handed over since the buffer was at `start`, when a set-up of one command has given up at once.
fn after_a_set_up(bench: &Bench, start: u32, id: u16) -> u32 {
    let added = bench.iommu.add_device(host_device(id), &mut || false);
    assert!(added.is_err(), "nobody answers");
    (tail(bench) + 256 - start) % 256
}

fn tail(bench: &Bench) -> u32 {
    bench.fake.inner().register(COMMAND_TAIL) / 16
}

/// A set-up of one command and its wait leaves what is set aside: the seal of what is open, the commands for devices' TLBs and their wait.
#[test]
fn promise_05_set_ups_leave_what_is_set_aside() {
    for (queued, expected) in [(252, 254), (253, 253)] {
        let (bench, key) = bench(FEATURES, &[None]);
        let start = tail(&bench);
        for n in 0..queued {
            let queued = bench.iommu.queue(&blocks(key, n, 1), &mut Cost::default());
            assert_eq!(queued, Ok(()));
        }
        assert_eq!(after_a_set_up(&bench, start, 0x70), expected);
    }
    let (bench, key) = bench(FEATURES, &[WITH]);
    let start = tail(&bench);
    let mut cost = Cost::ZERO;
    for n in 0..84 {
        bench.iommu.queue(&blocks(key, n, 1), &mut cost).unwrap();
        bench.iommu.seal(&mut cost);
    }
    // 84 with their wait are set aside, which leaves two entries more.
    for id in [0x70, 0x71] {
        assert_eq!(after_a_set_up(&bench, start, id), 2 * 84 + 2);
    }
}

/// What all contexts need at once after kernel tables were freed, and one more for their devices, must fit: n commands and the seal, n + 1 for devices,
/// their wait and one in case. That is 125 of them.
#[test]
fn promise_05_no_more_contexts_are_attached_than_can_be_told_at_once() {
    let bench: Bench<128> = Bench::sized(FEATURES, Config::new(CAPABILITY), memory());
    (0..126).for_each(|id| bench.add_host_device(id, None));
    let contexts: Vec<_> = (0..126).map(|id| context(id, None)).collect();
    let attach = |count| bench.iommu.reserve(&contexts[..count], &host()).map(|_| ());
    assert_eq!(attach(126), Err(AttachError::QueueTooSmall));
    assert_eq!(attach(125), Ok(()));
}
