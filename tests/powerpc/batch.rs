//! Several flushes of several spaces under one pair of barriers, as a reclaim batch issues them.

use crate::common::*;
use tlb_shootdown::arch::powerpc::Config;
use tlb_shootdown::arch::powerpc::hypervisor::HypervisorError;
use tlb_shootdown::arch::{Arch as _, HardwareId, Issued, Reach};
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::error::FlushError;
use tlb_shootdown::flush::Flush;
use tlb_shootdown_model::recorder::powerpc::RecordingHypervisor;

fn flush_all(world: &World, flushes: &[(u64, Flush)]) -> (Vec<Executed>, Cost) {
    let arch = world.engine.arch();
    let mut cost = Cost::ZERO;
    arch.store_barrier(Reach::Broadcast, &mut cost);
    for (pid, flush) in flushes {
        let tlb_shootdown::address::FlushRange::Pages(pages) = flush.range() else {
            unreachable!("pages alone");
        };
        arch.flush_tlb_range(
            HardwareId(*pid),
            pages,
            flush.into(),
            Reach::Broadcast,
            &mut cost,
        );
    }
    let issued = flushes
        .iter()
        .map(|(pid, flush)| Issued::User(HardwareId(*pid), *flush));
    arch.complete_broadcast(issued, &mut cost).unwrap();
    (world.take(), cost)
}

/// 32 pages of 4 spaces: 1 ptesync, 32 tlbie, one closing sequence. Linux: 64 ptesync, 32 tlbie, 32 tlbsync.
#[test]
fn promise_01_pages_of_several_spaces_share_the_barriers() {
    let world = World::power10(2);
    let flushes: Vec<_> = (1..=4).map(|pid| (pid, leaves(0x5000, 8))).collect();
    let (executed, cost) = flush_all(&world, &flushes);
    assert_eq!(
        (
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers
        ),
        (1, 32, 1)
    );
    assert_eq!(executed[0], PTESYNC);
    assert_eq!(executed[33..], CLOSING);
    assert_eq!(executed[32], tlbie(0xc000, 4 << 32));
}

/// A batch of a guest whose hypervisor is busy is issued again until it is done, everything of each space; one that it never does stays a
/// batch.
#[test]
fn promise_04_batch_that_nobody_vouches_for_stays() {
    let hypervisor: &'static _ = Box::leak(Box::new(RecordingHypervisor::new()));
    let world = World::new(Config::guest_without_tlbie(hypervisor), POWER10, 2);
    let [one, other] = [shared(&world), shared(&world)];
    let mut batch = Reclaim::<_, 1, 4>::new(&world.engine);
    for space in [&one, &other] {
        batch.add(space, page(0x5000)).unwrap();
    }
    hypervisor.fail_next(&[HypervisorError::Busy; 2]);
    batch.flush().unwrap();
    let asked = hypervisor.take();
    assert!(asked.len() > 2);
    let whole = |pid| {
        asked
            .iter()
            .any(|call| call.pid == pid && call.kind == 0b1110)
    };
    assert!(whole(1) && whole(2));

    batch.add(&one, page(0x5000)).unwrap();
    hypervisor.fail_next(&[HypervisorError::Refused(-2); 100]);
    let Err(FlushError::Incomplete(incomplete)) = batch.flush() else {
        panic!("nobody vouches for it");
    };
    assert_eq!((incomplete.cpus.len(), batch.is_empty()), (2, false));
    assert!((0..100).any(|_| batch.flush().is_ok()));
}

/// Pages that do not lie side by side are changes of their own, and one repetition, of the last, does for all of a process.
#[test]
fn promise_11_defects_repeat_once_for_each_process() {
    let world = World::power9(2);
    let flushes: Vec<_> = [0x5000, 0x9000, 0xd000]
        .into_iter()
        .flat_map(|addr| [(1, page(addr)), (2, page(addr))])
        .collect();
    let (executed, cost) = flush_all(&world, &flushes);
    assert_eq!((cost.store_barriers, cost.completion_barriers), (1, 3));
    assert_eq!(cost.invalidations, 6 + 1 + 2);
    let mended = [
        PTESYNC,
        tlbie(BY_PID, 0),
        PTESYNC,
        tlbie(0xd000, 1 << 32),
        tlbie(0xd000, 2 << 32),
    ];
    assert_eq!(executed[7..12], mended);
    assert_eq!(executed[12..], CLOSING);
}

/// The defects cost two barriers and one invalidation for the batch, and one repetition for each process: a thread may filter
/// what names another PID.
#[test]
fn promise_03_defects_cost_two_barriers_for_the_batch() {
    let world = World::power9(2);
    let flushes: Vec<_> = (1..=4).map(|pid| (pid, leaves(0x5000, 8))).collect();
    let (executed, cost) = flush_all(&world, &flushes);
    assert_eq!((cost.store_barriers, cost.completion_barriers), (1, 3));
    assert_eq!(cost.invalidations, 32 + 1 + 4);
    let mended = [
        PTESYNC,
        tlbie(BY_PID, 0),
        PTESYNC,
        tlbie(0xc000, 1 << 32),
        tlbie(0xc000, 2 << 32),
        tlbie(0xc000, 3 << 32),
        tlbie(0xc000, 4 << 32),
    ];
    assert_eq!(executed[33..40], mended);
    assert_eq!(executed[40..], CLOSING);
}
