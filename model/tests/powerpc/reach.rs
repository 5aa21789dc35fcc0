//! What each operand reaches, and what it leaves.

use super::rig::*;
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown_model::cpu::Fault;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::{Holder, Violation};

/// What both CPUs still use after one `tlbie`, RIC 0, PRS 1.
fn after_tlbie(rb: u64, rs: u64) -> [bool; 4] {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbie_ric0_prs1(rb, rs);
    rig.close();
    assert_eq!(rig.violations(), []);
    assert_eq!(rig.uses(0), rig.uses(1));
    rig.uses(1)
}

#[test]
fn tlbie_drops_the_page_of_its_address_size_and_pid() {
    assert_eq!(after_tlbie(VA, RS), [false, true, true, true]);
    assert_eq!(after_tlbie(NEXT, RS), [true, false, true, true]);
    assert_eq!(after_tlbie(VA, RS + 0x1_0000_0000), [true; 4]);
    // Within the page the address does not matter.
    let within = HUGE + 0x7_3000;
    assert_eq!(after_tlbie(within | AP_2M, RS), [true, true, false, true]);
}

#[test]
fn an_operand_of_another_size_leaves_the_entry() {
    for size in [AP_64K, AP_2M, AP_1G] {
        assert_eq!(after_tlbie(VA | size, RS), [true; 4]);
    }
    for size in [0, AP_64K, AP_1G] {
        assert_eq!(after_tlbie(HUGE | size, RS), [true; 4]);
    }
}

#[test]
fn selectors_reach_a_pid_a_partition_or_all() {
    assert_eq!(after_tlbie(BY_PID, RS), [false, false, false, true]);
    assert_eq!(after_tlbie(BY_PID, 0), [true, true, true, false]);
    assert_eq!(after_tlbie(BY_LPID, RS), [false; 4]);
    assert_eq!(after_tlbie(ALL, 0), [false; 4]);
    // Of guests: nothing of the host's.
    assert_eq!(after_tlbie(BY_PID, RS | 1), [true; 4]);
    assert_eq!(after_tlbie(ALL, 1), [true; 4]);
}

#[test]
fn partition_scope_reaches_the_host_with_is_3_alone() {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbie_ric0_prs0(VA, 0);
    rig.on.tlbie_ric2_prs0(BY_LPID, 0);
    rig.on.tlbie_ric2_prs0(ALL, 1);
    rig.close();
    assert_eq!(rig.uses(1), [true; 4]);
    rig.on.tlbie_ric2_prs0(ALL, 0);
    rig.close();
    assert_eq!(rig.uses(1), [false; 4]);
}

#[test]
fn tlbiel_reaches_this_cpu_alone() {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.close_here();
    assert_eq!(rig.uses(0), [false, true, true, true]);
    assert_eq!(rig.uses(1), [true; 4]);
}

/// 128 classes: VA is in class 0, its neighbour in 1, the large page in 2.
#[test]
fn tlbiel_by_pid_names_one_class_on_power9() {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbiel_ric2_prs1(BY_PID, RS);
    rig.close_here();
    assert_eq!(rig.uses(0), [false, true, true, true]);
    for set in 1..128 {
        rig.on.tlbiel_ric0_prs1(set << 12 | BY_PID, RS);
    }
    rig.close_here();
    assert_eq!(rig.uses(0), [false, false, false, true]);
    assert_eq!(rig.violations(), []);
}

#[test]
fn tlbiel_by_pid_reaches_all_classes_on_power10() {
    let rig = Rig::power10();
    rig.unmap();
    rig.on.tlbiel_ric0_prs1(BY_PID, RS);
    rig.close_here();
    assert_eq!(rig.uses(0), [false, false, false, true]);
}

/// The leaf goes, and the walk that follows begins at a table that is out of the tree.
#[test]
fn ric_0_leaves_page_walk_caches() {
    let rig = Rig::power9();
    rig.touch();
    rig.tables.unhang_table(0, VA);
    rig.on.ptesync();
    rig.on.tlbie_ric0_prs1(BY_PID, RS);
    rig.close();
    assert!(rig.cpus[1].read(VA).is_ok());
    rig.on.tlbie_ric2_prs1(BY_PID, RS);
    rig.close();
    assert_eq!(rig.cpus[1].read(VA), Err(Fault::Translation));
}

#[test]
fn ric_1_drops_page_walk_caches_alone() {
    let rig = Rig::power9();
    rig.touch();
    rig.tables.unhang_table(0, VA);
    rig.on.ptesync();
    rig.on.tlbie_ric1_prs1(BY_PID, RS);
    rig.close();
    let before = rig.cpus[1].held_under(PID);
    // VA, its neighbour, the large page.
    assert_eq!(before, 3);
    assert!(rig.cpus[1].read(VA).is_ok());
    rig.on.tlbiel_ric1_prs1(BY_PID, RS);
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.close_here();
    assert_eq!(rig.cpus[0].read(VA), Err(Fault::Translation));
}

#[test]
fn tlbiel_of_a_class_leaves_those_before_and_behind() {
    let rig = Rig::power9();
    rig.unmap();
    rig.on.tlbiel_ric0_prs1(0x1000 | BY_PID, RS);
    rig.close_here();
    assert_eq!(rig.uses(0), [true, false, true, true]);
}

/// On POWER9 the page-walk cache is of class 0.
#[test]
fn tlbiel_drops_page_walk_caches_with_class_0() {
    let rig = Rig::power9();
    rig.touch();
    rig.tables.unhang_table(0, VA);
    rig.on.ptesync();
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.on.tlbiel_ric2_prs1(0x1000 | BY_PID, RS);
    rig.close_here();
    assert!(rig.cpus[0].read(VA).is_ok());
    rig.on.tlbiel_ric2_prs1(BY_PID, RS);
    rig.close_here();
    assert_eq!(rig.cpus[0].read(VA), Err(Fault::Translation));
}

/// The tree's root is found by a process-table entry that is read once: RIC 2 makes the CPU read it again.
#[test]
fn a_pid_that_is_used_again_needs_ric_2() {
    let rig = Rig::power9();
    rig.touch();
    let holder = Holder::Cpu(1);
    let foreign = Violation::UsedForeign { holder, va: VA };
    let other = rig.model.radix_tables();
    let frame = rig.model.allocate(0x1000);
    other.map(0, VA, Mapping::page(frame, Rights::ReadOnly));
    rig.on.ptesync();
    rig.on.tlbie_ric0_prs1(BY_PID, RS);
    rig.on.tlbie_ric1_prs1(BY_PID, RS);
    rig.close();
    rig.cpus[1].load(other.root(), PID.into());
    assert!(rig.cpus[1].read(VA).is_ok());
    assert!(rig.violations().contains(&foreign));
    rig.cpus[1].run_nothing();
    // Of another PID first, which is not enough.
    for (rs, clean) in [(RS + 0x1_0000_0000, false), (RS, true)] {
        rig.on.tlbie_ric2_prs1(BY_PID, rs);
        rig.on.tlbie_ric0_prs1(BY_PID, RS);
        rig.close();
        rig.cpus[1].load(other.root(), PID.into());
        assert!(rig.cpus[1].read(VA).is_ok());
        assert_eq!(rig.violations().is_empty(), clean);
        rig.cpus[1].run_nothing();
    }
    rig.cpus[1].load(other.root(), PID.into());
    rig.returned();
    assert!(rig.cpus[1].read(VA).is_ok());
    assert_eq!(rig.violations(), []);
}

#[test]
fn entries_of_a_pid_that_is_not_loaded_stay_and_count() {
    let rig = Rig::power9();
    rig.unmap();
    rig.cpus[1].run_nothing();
    assert_eq!(rig.cpus[1].read(VA), Err(Fault::Translation));
    rig.on.tlbiel_ric0_prs1(VA, RS);
    rig.close_here();
    rig.returned();
    assert!(rig.holds_stale(1));
}

#[test]
fn an_access_fault_loads_the_entry_again() {
    let rig = Rig::power9();
    rig.tables.protect(0, VA, Rights::ReadOnly);
    rig.on.ptesync();
    rig.touch();
    rig.tables.protect(0, VA, Rights::ReadWrite);
    rig.on.ptesync();
    assert_eq!(rig.cpus[1].write(VA, 1), Err(Fault::Permission));
    assert_eq!(rig.cpus[1].write(VA, 1), Ok(()));
}

#[test]
fn quadrants_1_and_2_and_addresses_beyond_52_bits_are_not_translated() {
    let rig = Rig::power9();
    for va in [1 << 62 | VA, 2 << 62 | VA, 1 << 52 | VA, 1 << 61 | VA] {
        assert_eq!(rig.cpus[0].read(va), Err(Fault::Translation));
    }
}
