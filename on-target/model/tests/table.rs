//! The tables on the model: everything is seen that is there to be seen, and everything is as it must be.

use tlb_shootdown_on_model::{Played, aarch64, powerpc, x86_64};
use tlb_shootdown_scenarios::{Case, Cell, Observer, Seen, Yardstick, verdict};

fn every_cell_is_as_it_must_be_and_seen(played: Played, yardstick: &Yardstick) {
    let cells = played.unwrap();
    assert_eq!(cells.len(), Case::ALL.len() * yardstick.observers.len());
    for cell in &cells {
        assert_eq!(verdict(cell, yardstick), Ok(()), "{cell:?}");
        let hidden = yardstick.hides(cell.case, cell.observer);
        assert_eq!(cell.without == Seen::Unseen, hidden, "{cell:?}");
        assert_eq!(cell.tries, 1, "{cell:?}");
    }
}

#[test]
fn aarch64_with_smmuv3() {
    every_cell_is_as_it_must_be_and_seen(aarch64::cells(), aarch64::YARDSTICK);
}

#[test]
fn x86_64_with_an_amd_iommu() {
    every_cell_is_as_it_must_be_and_seen(x86_64::amd_cells(), x86_64::AMD_YARDSTICK);
}

#[test]
fn x86_64_with_vtd() {
    every_cell_is_as_it_must_be_and_seen(x86_64::vtd_cells(), x86_64::VTD_YARDSTICK);
}

#[test]
fn power10_with_atsd_registers() {
    every_cell_is_as_it_must_be_and_seen(powerpc::atsd_cells(), powerpc::ATSD_YARDSTICK);
}

#[test]
fn power9_with_a_link_that_snoops() {
    every_cell_is_as_it_must_be_and_seen(powerpc::snooping_cells(), powerpc::SNOOPING_YARDSTICK);
}

#[test]
fn a_guest_on_power10() {
    every_cell_is_as_it_must_be_and_seen(powerpc::guest_cells(), powerpc::GUEST_YARDSTICK);
}

/// What there is to see of an upgrade on POWER9 is seen: its nest MMU believes what it holds.
#[test]
fn only_power10_hides_an_upgrade_from_its_device() {
    let cells = powerpc::snooping_cells().unwrap();
    let upgrade = |cell: &&Cell| cell.case == Case::Upgrade && cell.observer == Observer::Device;
    assert_eq!(cells.iter().find(upgrade).unwrap().without, Seen::Fault);
}
