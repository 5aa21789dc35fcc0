//! Partition-scoped translations: LPIDs instead of PIDs.

use crate::common::*;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::arch::powerpc::operand::Page;
use tlb_shootdown::arch::powerpc::{Config, NotHypervisor};
use tlb_shootdown::cost::Cost;

const LPID: u32 = 7;

type Operation = fn(&Arch) -> Result<Cost, NotHypervisor>;

const OPERATIONS: [(Operation, Executed); 4] = [
    (
        |arch| arch.flush_partition_page(LPID, PhysAddr::new(0x20_0000), Page::Mib2),
        ("tlbie ric0 prs0", [0x20_0020, 7]),
    ),
    (
        |arch| arch.flush_partition_walk_caches(LPID),
        ("tlbie ric1 prs0", [0x800, 7]),
    ),
    (
        |arch| arch.flush_partition(LPID),
        ("tlbie ric2 prs0", [0x800, 7]),
    ),
    (
        |arch| arch.flush_guest(LPID),
        ("tlbie ric2 prs1", [0x800, 7]),
    ),
];

#[test]
fn promise_03_partitions_are_flushed_everywhere() {
    let world = World::power10(2);
    for (operation, tlbie) in OPERATIONS {
        let cost = operation(world.engine.arch()).unwrap();
        assert_eq!(world.take(), [PTESYNC, tlbie, EIEIO, TLBSYNC, PTESYNC]);
        assert_eq!(
            (
                cost.store_barriers,
                cost.invalidations,
                cost.completion_barriers
            ),
            (1, 1, 1)
        );
    }
}

/// With LPID 0 in place of PID 0; page walks alone have no defect.
#[test]
fn promise_03_partitions_on_power9_are_mended_too() {
    let world = World::power9(2);
    let mended = |operation: Operation| {
        operation(world.engine.arch()).unwrap();
        let executed = world.take();
        executed[2..executed.len() - 3].to_vec()
    };
    let by_lpid = |rb, lpid| ("tlbie ric0 prs0", [rb, lpid]);
    let page = [
        PTESYNC,
        by_lpid(0x20_0020, 0),
        PTESYNC,
        by_lpid(0x20_0020, 7),
    ];
    assert_eq!(mended(OPERATIONS[0].0), page);
    assert_eq!(mended(OPERATIONS[1].0), []);
    let unused = 0x000f_ffff_ffff_f0a0;
    let whole = [PTESYNC, by_lpid(0x800, 0), PTESYNC, by_lpid(unused, 7)];
    assert_eq!(mended(OPERATIONS[2].0), whole);
    assert_eq!(mended(OPERATIONS[3].0), whole);
}

#[test]
fn guests_have_no_partitions() {
    let world = World::new(Config::guest(), POWER10, 1);
    for (operation, _) in OPERATIONS {
        assert_eq!(operation(world.engine.arch()), Err(NotHypervisor));
    }
    assert_eq!(world.take(), []);
}
