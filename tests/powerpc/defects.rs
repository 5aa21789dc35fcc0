//! The defects of POWER9's `tlbie`, by PVR.
//!
//! Sources: the texts of Linux' two fixes (047e6575aec7, a5d4b5891c2f) and its `radix_tlb.c`; the figures of
//! the reference for what each costs.

use crate::common::*;
use tlb_shootdown::arch::powerpc::{Config, Isa};

/// The same page of PID 0 after a `ptesync`, which no thread filters out; then the page once more after another.
#[test]
fn promise_03_page_on_power9_is_mended_twice() {
    let world = World::power9(2);
    let space = shared(&world);
    let (executed, cost) = world.flush(&space, page(0x5000));
    let expected = [
        PTESYNC,
        tlbie(0x5000, PID_1),
        PTESYNC,
        tlbie(0x5000, 0),
        PTESYNC,
        tlbie(0x5000, PID_1),
        EIEIO,
        TLBSYNC,
        PTESYNC,
    ];
    assert_eq!(executed, expected);
    assert_eq!(
        (
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers
        ),
        (1, 3, 3)
    );
}

/// Of many pages the last is repeated, of a process a page that nobody uses.
#[test]
fn promise_03_range_and_process_repeat_one_page() {
    let world = World::power9(2);
    let space = shared(&world);
    let (executed, cost) = world.flush(&space, leaves(0x5000, 8));
    assert_eq!(cost.invalidations, 8 + 2);
    let mended = [PTESYNC, tlbie(BY_PID, 0), PTESYNC, tlbie(0xc000, PID_1)];
    assert_eq!(executed[9..13], mended);
    let (executed, cost) = world.flush(&space, leaves(0x5000, 34));
    assert_eq!(cost.invalidations, 3);
    assert_eq!(executed[5], tlbie(0x000f_ffff_ffff_f0a0, PID_1));
}

/// Nothing of it concerns `tlbiel`.
#[test]
fn promise_03_local_invalidations_have_no_defect() {
    let world = World::power9(2);
    let space = alone(&world);
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!(executed, [PTESYNC, tlbiel(0x5000, PID_1), PTESYNC]);
}

/// Nimbus is mended in DD 2.3, Cumulus in DD 1.3, but for what threads filter; variants that nobody knows are not.
#[test]
fn promise_03_revisions_decide_about_the_store_queue() {
    let cases = [
        (0x004e_0200, 3), // Nimbus DD 2.0
        (0x004e_0202, 3), // Nimbus DD 2.2
        (0x004e_1202, 3), // the same, of small cores
        (0x004e_1203, 2), // DD 2.3
        (0x004e_2102, 3), // Cumulus DD 1.2
        (0x004e_2103, 2), // Cumulus DD 1.3
        (0x004e_4203, 3), // unknown
        (POWER10, 1),
        (0x0082_0100, 1), // POWER11
    ];
    for (pvr, invalidations) in cases {
        let world = World::new(Config::hypervisor(), pvr, 2);
        let space = shared(&world);
        let (_, cost) = world.flush(&space, page(0x5000));
        assert_eq!(cost.invalidations, invalidations, "{pvr:#x}");
        assert_eq!(cost.completion_barriers, invalidations, "{pvr:#x}");
    }
}

/// A guest may be moved to another POWER9, one of POWER10 in the mode of the ISA before it as well.
#[test]
fn promise_03_guest_of_isa_3_0_assumes_every_defect() {
    let machines = [
        (Config::guest(), 0x004e_1203, 3),
        (Config::guest().isa(Isa::V3_0), POWER10, 3),
        (Config::guest(), POWER10, 1),
    ];
    for (config, pvr, invalidations) in machines {
        let world = World::new(config, pvr, 2);
        let space = shared(&world);
        let (_, cost) = world.flush(&space, page(0x5000));
        assert_eq!(cost.invalidations, invalidations, "{pvr:#x}");
    }
}

/// One CPU with a defect is enough, from the moment it joins.
#[test]
fn promise_02_defect_of_a_late_cpu_counts_at_once() {
    let world = World::new(Config::hypervisor(), 0x004e_1203, 2);
    let space = shared(&world);
    assert_eq!(world.flush(&space, page(0x5000)).1.invalidations, 2);
    world.recorder().identify_as(POWER9);
    world.on(2);
    world.engine.cpu_online().unwrap();
    assert_eq!(world.flush(&space, page(0x5000)).1.invalidations, 3);
}
