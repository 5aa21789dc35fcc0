//! A secondary TLB that keeps its contract, and one broken sentence after another.

use crate::software::{Defect, KEY, Software};
use tlb_shootdown::address::PageRange;
use tlb_shootdown::secondary::SecondaryError;
use tlb_shootdown_model::conformance::{self, Bounds, Failure, PAGES, Passed, Window};

fn proof(defect: Defect) -> Result<Passed, Failure> {
    let tlb = Software::new(defect);
    let first = PageRange::page(tlb.address(0), tlb.page_size());
    let last = PageRange::page(tlb.address(PAGES - 1), tlb.page_size());
    let bounds = Bounds {
        pages: first.hull(&last),
        polls: 500,
        room: 1000,
    };
    conformance::secondary(&tlb, KEY, &bounds, &tlb)
}

#[track_caller]
fn fails(defect: Defect, failure: Failure) {
    assert_eq!(proof(defect), Err(failure), "{defect:?}");
}

#[test]
fn what_keeps_the_contract_passes() {
    let passed = proof(Defect::None).unwrap();
    assert_eq!((passed.checks, passed.skipped), (24, 0));
    assert_eq!((passed.controls, passed.stale), (10, 10));
}

#[test]
fn needs_that_change_are_found() {
    fails(Defect::NeedsChange, Failure::NeedsChange);
}

#[test]
fn queueing_that_does_more_is_found() {
    fails(Defect::QueueRings, Failure::QueueRings);
    fails(Defect::FullQueues, Failure::FullQueues);
}

#[test]
fn room_that_does_not_come_back_is_found() {
    fails(Defect::KeepsRoom, Failure::NoRoomAgain);
}

#[test]
fn seals_that_do_more_are_found() {
    fails(Defect::RingsTwice, Failure::RingsTwice { doorbells: 2 });
    fails(Defect::EmptySealSubmits, Failure::EmptySealSubmits);
}

#[test]
fn fences_that_are_no_sequence_are_found() {
    let failure = Failure::EmptySealIsNew {
        sealed: 2,
        given: 3,
    };
    fails(Defect::EmptySealIsNew, failure);
    fails(
        Defect::SequenceReused,
        Failure::SequenceReused { sequence: 3 },
    );
}

#[test]
fn fences_that_are_not_reached_are_found() {
    fails(Defect::Stalls, Failure::FenceNotReached { sequence: 1 });
    fails(Defect::Forgets, Failure::FenceForgotten { sequence: 1 });
    let failure = Failure::FenceFailed {
        sequence: 4,
        error: SecondaryError::QueueStopped,
    };
    fails(Defect::Fails, failure);
}

#[test]
fn a_release_that_is_put_off_for_ever_is_found() {
    fails(Defect::NeverReleases, Failure::NotReleased);
}

#[test]
fn a_device_that_does_not_see_its_pages_is_found() {
    fails(Defect::Unprepared, Failure::DeviceUnprepared { page: 1 });
}

#[test]
fn old_entries_of_a_device_are_found() {
    fails(Defect::IgnoresUnmaps, Failure::DeviceStale { page: 0 });
    fails(Defect::IgnoresNarrowing, Failure::DeviceStale { page: 0 });
    fails(Defect::IgnoresUpgrades, Failure::DeviceStale { page: 0 });
    fails(Defect::Overtakes, Failure::Overtaken { page: 0 });
}

/// Whose page it is depends on who seals first.
#[test]
fn what_the_seal_of_another_loses_is_found() {
    let failure = proof(Defect::LosesOthers).unwrap_err();
    assert!(
        matches!(failure, Failure::DeviceStale { .. }),
        "{failure:?}"
    );
}

#[test]
fn a_device_that_walks_a_released_space_is_found() {
    fails(Defect::WalksReleased, Failure::NotSilent { page: 0 });
}
