//! The tables on the model: everything is seen, and everything is as it must be.

use tlb_shootdown_on_model::{Played, aarch64, x86_64};
use tlb_shootdown_scenarios::{Case, Observer, Seen, Yardstick, verdict};

fn every_cell_is_as_it_must_be_and_none_is_unseen(played: Played, yardstick: &Yardstick) {
    let cells = played.unwrap();
    assert_eq!(cells.len(), Case::ALL.len() * Observer::ALL.len());
    for cell in &cells {
        assert_eq!(verdict(cell, yardstick), Ok(()), "{cell:?}");
        assert_ne!(cell.without, Seen::Unseen, "{cell:?}");
        assert_eq!(cell.tries, 1, "{cell:?}");
    }
}

#[test]
fn aarch64_with_smmuv3() {
    every_cell_is_as_it_must_be_and_none_is_unseen(aarch64::cells(), aarch64::YARDSTICK);
}

#[test]
fn x86_64_with_an_amd_iommu() {
    every_cell_is_as_it_must_be_and_none_is_unseen(x86_64::amd_cells(), x86_64::AMD_YARDSTICK);
}

#[test]
fn x86_64_with_vtd() {
    every_cell_is_as_it_must_be_and_none_is_unseen(x86_64::vtd_cells(), x86_64::VTD_YARDSTICK);
}
