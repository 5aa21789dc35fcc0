//! The table on the model: everything is seen, and everything is as it must be.

use tlb_shootdown_on_model::{YARDSTICK, cells};
use tlb_shootdown_scenarios::{Case, Observer, Seen, verdict};

#[test]
fn every_cell_is_as_it_must_be_and_none_is_unseen() {
    let cells = cells().unwrap();
    assert_eq!(cells.len(), Case::ALL.len() * Observer::ALL.len());
    for cell in &cells {
        assert_eq!(verdict(cell, YARDSTICK), Ok(()), "{cell:?}");
        assert_ne!(cell.without, Seen::Unseen, "{cell:?}");
        assert_eq!(cell.tries, 1, "{cell:?}");
    }
}
