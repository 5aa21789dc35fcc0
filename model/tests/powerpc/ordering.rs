//! What is in flight, and until which barrier.

use super::rig::*;
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::Violation;

/// After unmapping, `tlbie` of VA and these barriers: whether the other CPU still uses the page.
fn remains_after(barriers: impl Fn(&Rig)) -> bool {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbie_ric0_prs1(VA, RS);
    barriers(&rig);
    rig.uses(1)[0]
}

#[test]
fn tlbie_is_in_flight_until_eieio_tlbsync_and_ptesync_in_this_order() {
    assert!(!remains_after(Rig::close));
    assert!(remains_after(|_| {}));
    assert!(remains_after(|rig| rig.on.ptesync()));
    assert!(remains_after(|rig| {
        rig.on.eieio();
        rig.on.ptesync();
    }));
    assert!(remains_after(|rig| {
        rig.on.tlbsync();
        rig.on.ptesync();
    }));
    assert!(remains_after(|rig| {
        rig.on.tlbsync();
        rig.on.eieio();
        rig.on.ptesync();
    }));
    assert!(remains_after(|rig| {
        rig.on.eieio();
        rig.on.tlbsync();
    }));
    assert!(remains_after(|rig| {
        rig.on.eieio();
        rig.on.tlbsync();
        rig.on.sync();
    }));
}

#[test]
fn barriers_of_another_cpu_complete_nothing() {
    assert!(remains_after(|rig| {
        rig.platform.set_current(1);
        rig.close();
        rig.platform.set_current(0);
    }));
}

#[test]
fn one_closing_sequence_completes_many() {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbie_ric0_prs1(VA, RS);
    rig.on.tlbie_ric0_prs1(NEXT, RS);
    rig.close();
    assert_eq!(rig.uses(1), [false, false, true, true]);
    let counts = rig.model.take_counts();
    assert_eq!(counts.tlbis, 2);
    // The one of `unmap`, and the closing one.
    assert_eq!((counts.store_barriers, counts.completion_barriers), (1, 1));
}

#[test]
fn tlbiel_is_in_flight_until_ptesync() {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.on.eieio();
    rig.on.tlbsync();
    rig.on.sync();
    assert!(rig.uses(0)[0]);
    rig.on.ptesync();
    assert!(!rig.uses(0)[0]);
}

/// `sync` orders CPUs and devices; the walkers see stores after `ptesync` alone.
#[test]
fn stores_to_tables_wait_for_ptesync() {
    let rig = Rig::power9();
    rig.tables.unmap(0, VA);
    rig.on.sync();
    rig.on.eieio();
    assert!(rig.cpus[0].read(VA).is_ok());
    assert!(rig.cpus[1].read(VA).is_ok());
}

#[test]
fn invalidations_overtake_stores() {
    let rig = Rig::power9();
    rig.touch();
    rig.tables.unmap(0, VA);
    rig.on.tlbie_ric0_prs1(VA, RS);
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.close();
    assert!(rig.uses(0)[0]);
    assert!(rig.uses(1)[0]);
}

#[test]
fn tlbiel_by_pid_leaves_the_erat_to_slbia() {
    for slbia in [Slbia::None, Slbia::Ih3, Slbia::Ih7] {
        let rig = Rig::power10();
        rig.unmap();
        rig.on.tlbiel_ric2_prs1(BY_PID, RS);
        rig.on.ptesync();
        match slbia {
            Slbia::None => {}
            Slbia::Ih3 => rig.on.slbia_ih3(),
            Slbia::Ih7 => rig.on.slbia_ih7(),
        }
        rig.on.isync();
        let kept = slbia == Slbia::None;
        assert_eq!(rig.cpus[0].held_in_erat(), if kept { 3 } else { 0 });
        rig.model.returned(rig.tables.root(), 0, u64::MAX);
        assert_eq!(rig.holds_stale(0), kept);
        assert_eq!(rig.uses(0), [kept, kept, kept, true]);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Slbia {
    None,
    Ih3,
    Ih7,
}

#[test]
fn slbia_waits_for_isync_and_comes_after_the_invalidation() {
    let rig = Rig::power10();
    rig.unmap();
    rig.on.tlbiel_ric2_prs1(BY_PID, RS);
    // Too early: what is still in the TLB is fetched again.
    rig.on.slbia_ih3();
    rig.on.isync();
    rig.on.ptesync();
    assert_eq!(rig.uses(0), [true; 4]);
    rig.on.slbia_ih3();
    assert_eq!(rig.uses(0), [true; 4]);
    rig.on.isync();
    assert_eq!(rig.uses(0), [false, false, false, true]);
}

#[test]
fn tlbiel_of_a_page_and_tlbie_reach_the_erat() {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.on.ptesync();
    assert_eq!(rig.cpus[0].held_in_erat(), 2);
    rig.on.tlbie_ric0_prs1(BY_PID, RS);
    rig.close();
    assert_eq!(rig.cpus[0].held_in_erat(), 0);
    assert_eq!(rig.cpus[1].held_in_erat(), 0);
}

/// Stores that other CPUs have translated are performed before a `tlbie` of their page is complete.
#[test]
fn tlbie_waits_for_queued_stores() {
    let rig = Rig::power9();
    let frame = rig.model.allocate(0x1000);
    let at = 0x50_0000;
    rig.tables
        .map(0, at, Mapping::page(frame, Rights::ReadWrite));
    rig.on.ptesync();
    rig.cpus[1].write_later(at, 7).unwrap();
    assert_eq!(rig.model.peek(frame), 0);
    rig.tables.unmap(0, at);
    rig.on.ptesync();
    rig.on.tlbie_ric0_prs1(at, RS);
    rig.close();
    assert_eq!(rig.model.peek(frame), 7);
    rig.returned();
    assert_eq!(rig.violations(), []);
}

#[test]
fn a_copy_keeps_its_translation_on_power10_until_it_is_aborted() {
    let rig = Rig::power10();
    rig.touch();
    rig.cpus[0].copy(VA).unwrap();
    rig.tables.unmap(0, VA);
    rig.on.ptesync();
    rig.on.tlbie_ric0_prs1(NEXT, RS);
    rig.close();
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.on.ptesync();
    rig.cpus[1].run_nothing();
    rig.returned();
    assert!(rig.holds_stale(0));
    rig.on.cp_abort();
    assert!(!rig.holds_stale(0));
}

#[test]
fn a_copy_on_power9_has_read_what_it_wanted() {
    let rig = Rig::power9();
    rig.cpus[0].copy(VA).unwrap();
    rig.tables.unmap(0, VA);
    rig.on.ptesync();
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.on.ptesync();
    rig.cpus[1].run_nothing();
    rig.returned();
    assert!(!rig.holds_stale(0));
}

#[test]
fn a_task_that_moves_with_a_tlbie_in_flight_is_reported() {
    let rig = Rig::power9();
    rig.on.tlbie_ric0_prs1(VA, RS);
    rig.cpus[0].leave();
    assert_eq!(rig.violations(), [Violation::MigratedIncomplete { cpu: 0 }]);
}
