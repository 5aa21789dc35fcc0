//! What the nest MMU keeps, hears and believes.

use super::rig::*;
use tlb_shootdown::arch::powerpc::hypervisor::{Hypervisor, RptInvalidate};
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown::dma::Mmio;
use tlb_shootdown_model::cpu::powerpc::ModelHypervisor;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::ocxl::{DeviceFault, LinkOptions};
use tlb_shootdown_model::oracle::{Holder, Violation};

/// PID 0x42 in RS, and IS = 1 in RB.
const RS: u64 = 0x42_0000_0000;
const BY_PID: u64 = 0x400;

fn close(rig: &Rig) {
    rig.on.eieio();
    rig.on.tlbsync();
    rig.on.ptesync();
}

#[test]
fn only_a_link_that_snoops_hears_tlbie() {
    for (options, hears) in [
        (LinkOptions::POWER9, false),
        (LinkOptions::POWER9.snooping(), true),
    ] {
        let rig = Rig::new(options);
        rig.unmap();
        rig.on.tlbie_ric0_prs1(PAGE, RS);
        close(&rig);
        assert_eq!(rig.device.read(PAGE).is_err(), hears);
        rig.returned();
        let held = if hears { vec![] } else { vec![held(PAGE)] };
        assert_eq!(rig.model.violations(), held);
    }
}

#[test]
fn nobody_hears_tlbiel() {
    let rig = Rig::new(LinkOptions::POWER10.snooping());
    rig.unmap();
    rig.on.tlbiel_ric2_prs1(BY_PID, RS);
    close(&rig);
    assert!(rig.device.read(PAGE).is_ok());
}

#[test]
fn a_tlbie_in_flight_is_not_heard_yet() {
    let rig = Rig::new(LinkOptions::POWER10.snooping());
    rig.unmap();
    rig.on.tlbie_ric0_prs1(PAGE, RS);
    rig.on.ptesync();
    assert!(rig.device.read(PAGE).is_ok());
    close(&rig);
    assert!(rig.device.read(PAGE).is_err());
}

#[test]
fn a_hypervisor_reaches_it_where_it_is_named() {
    let rig = Rig::new(LinkOptions::POWER10.snooping());
    let hypervisor = ModelHypervisor::new(rig.model.clone());
    rig.unmap();
    let threads = RptInvalidate {
        pid: PID.into(),
        target: 1,
        kind: 2,
        page_sizes: u64::MAX,
        start: 0,
        end: u64::MAX,
    };
    assert_eq!(hypervisor.rpt_invalidate(&threads), Ok(()));
    assert!(rig.device.read(PAGE).is_ok());
    let nest_mmu = RptInvalidate {
        target: 5,
        ..threads
    };
    assert_eq!(hypervisor.rpt_invalidate(&nest_mmu), Ok(()));
    assert!(rig.device.read(PAGE).is_err());
}

/// RIC 0 by PID leaves the pages that POWER9's page-walk cache keeps; by address it does not.
#[test]
fn power9_keeps_pages_after_ric_0_by_pid() {
    for (options, keeps) in [
        (LinkOptions::POWER9.snooping(), true),
        (LinkOptions::POWER10.snooping(), false),
    ] {
        let rig = Rig::new(options);
        rig.unmap();
        rig.on.tlbie_ric0_prs1(BY_PID, RS);
        close(&rig);
        assert_eq!(rig.device.read(PAGE).is_ok(), keeps);
        rig.on.tlbie_ric2_prs1(BY_PID, RS);
        close(&rig);
        assert!(rig.device.read(PAGE).is_err());
        let rig = Rig::new(options);
        rig.unmap();
        rig.on.tlbie_ric0_prs1(PAGE, RS);
        close(&rig);
        assert!(rig.device.read(PAGE).is_err());
    }
}

#[test]
fn a_cached_right_is_believed_on_power9_alone() {
    for (options, believes) in [(LinkOptions::POWER9, true), (LinkOptions::POWER10, false)] {
        let rig = Rig::new(options);
        rig.device.read(PAGE).unwrap();
        rig.tables.protect(0, PAGE, Rights::ReadWrite);
        rig.on.ptesync();
        for _ in 0..3 {
            let written = rig.device.write(PAGE, 1);
            assert_eq!(written == Err(DeviceFault::Permission), believes);
        }
        let (iommu, va) = (0, PAGE);
        let widened = Violation::WidenedInPlace { iommu, va };
        let reported = if believes { vec![widened] } else { vec![] };
        assert_eq!(rig.model.violations(), reported);
        rig.launch(ONE_PAGE, PAGE);
        assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    }
}

#[test]
fn a_right_is_added_by_way_of_an_invalid_entry_and_a_flush() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.device.read(PAGE).unwrap();
    rig.tables.unmap(0, PAGE);
    rig.on.ptesync();
    rig.launch(ONE_PAGE, PAGE);
    rig.returned();
    let page = Mapping::page(rig.frame, Rights::ReadWrite);
    rig.tables.map(0, PAGE, page);
    rig.on.ptesync();
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    rig.assert_clean();
    // Without the flush between it is the same as in place, and is installed too early as well.
    let rig = Rig::new(LinkOptions::POWER9);
    rig.device.read(PAGE).unwrap();
    rig.tables.unmap(0, PAGE);
    rig.tables
        .map(0, PAGE, Mapping::page(rig.frame, Rights::ReadWrite));
    let (iommu, va) = (0, PAGE);
    assert_eq!(
        rig.model.violations()[..2],
        [
            Violation::InstalledWhilePending { va },
            Violation::WidenedInPlace { iommu, va }
        ]
    );
}

/// What is not held may be widened in place.
#[test]
fn only_what_is_held_is_widened_badly() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.tables.protect(0, PAGE, Rights::ReadWrite);
    rig.on.ptesync();
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    rig.tables.protect(0, PAGE, Rights::ReadOnly);
    rig.assert_clean();
}

/// The same frame elsewhere is another entry.
#[test]
fn an_alias_of_what_is_held_may_be_widened() {
    let rig = Rig::new(LinkOptions::POWER9);
    let alias = PAGE + 0x1000;
    let page = Mapping::page(rig.frame, Rights::ReadOnly);
    rig.tables.map(0, alias, page);
    rig.on.ptesync();
    rig.device.read(PAGE).unwrap();
    rig.tables.protect(0, alias, Rights::ReadWrite);
    rig.assert_clean();
}

#[test]
fn it_sees_tables_after_ptesync() {
    let rig = Rig::new(LinkOptions::POWER10);
    rig.tables.unmap(0, PAGE);
    rig.on.sync();
    assert!(rig.device.read(PAGE).is_ok());
}

/// A process-table entry is read once: RIC 2 makes the nest MMU read it again.
#[test]
fn a_pid_that_is_used_again_needs_ric_2() {
    let rig = Rig::new(LinkOptions::POWER10.snooping());
    rig.device.read(PAGE).unwrap();
    let other = rig.model.radix_tables();
    rig.model.set_process(PID, Some(other.root()));
    rig.on.tlbie_ric0_prs1(BY_PID, RS);
    rig.on.tlbie_ric1_prs1(BY_PID, RS);
    close(&rig);
    assert!(rig.device.read(PAGE).is_ok());
    let (holder, va) = (Holder::Iommu(0), PAGE);
    let foreign = Violation::UsedForeign { holder, va };
    assert_eq!(rig.model.violations(), [foreign]);
    rig.on.tlbie_ric2_prs1(BY_PID, RS);
    close(&rig);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
    rig.assert_clean();
}

#[test]
fn a_link_that_snoops_has_no_registers() {
    let rig = Rig::new(LinkOptions::POWER9.snooping());
    rig.unmap();
    rig.write(LNCH, WHOLE);
    for register in [LNCH, AVA, STAT] {
        assert_eq!(rig.link.read64(register), u64::MAX);
    }
    assert!(rig.device.read(PAGE).is_ok());
}

#[test]
fn a_frame_that_was_freed_too_early_is_reported_when_it_is_used() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.unmap();
    rig.model.free(rig.frame);
    assert!(rig.device.read(PAGE).is_ok());
    let (holder, pa) = (Holder::Iommu(0), rig.frame);
    let early = Violation::FreedWhileHeld { holder, pa };
    let used = Violation::UsedFreed { holder, pa };
    assert_eq!(rig.model.violations(), [early, used]);
}
