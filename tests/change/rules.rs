//! What holds of every decision.

use crate::shown::{decided, shown};
use crate::support::pages;
use tlb_shootdown::address::{FlushRange, PageSize};
use tlb_shootdown::arch::aarch64;
use tlb_shootdown::change::{Call, Decision, PutOff, Reason};
use tlb_shootdown::flush::{Depth, Flush};

/// An architecture may find that nothing is to be done, or that the size is of use; it puts nothing off for longer and reaches nobody less.
#[test]
fn promise_11_architectures_ask_for_the_same_or_for_nothing() {
    for reason in Reason::ALL {
        let any = Decision::on_any_machine(reason);
        for decision in decided(reason) {
            if decision == Decision::NOTHING {
                continue;
            }
            assert_eq!(decision.call(), any.call(), "{reason:?}");
            assert_eq!(decision.depth(), any.depth(), "{reason:?}");
            assert_eq!(decision.put_off(), any.put_off(), "{reason:?}");
            let (ours, strict) = (
                decision.needs_invalid_between(),
                any.needs_invalid_between(),
            );
            assert_eq!(ours, strict, "{reason:?}");
            assert!(decision.size_counts() || !any.size_counts(), "{reason:?}");
        }
    }
}

/// Only what changes the size of an entry and nothing else may be done in place, and only from level 2 of FEAT_BBM on (Arm ARM D8,
/// "Support levels for changing block size"; Linux' `contpte_convert` under `system_supports_bbml2_noabort`).
#[test]
fn promise_08_sizes_change_in_place_with_level_2() {
    let in_place = [Reason::Split, Reason::Collapse, Reason::ContiguousHint];
    for reason in Reason::ALL {
        let without = aarch64::change::decide(reason, 0);
        assert_eq!(aarch64::change::decide(reason, 1), without, "{reason:?}");
        let with = aarch64::change::decide(reason, 2);
        if in_place.contains(&reason) {
            assert!(without.needs_invalid_between() && !with.needs_invalid_between());
            let difference = shown(without).replace(", invalid between", "");
            assert_eq!(shown(with), difference, "{reason:?}");
        } else {
            assert_eq!(with, without, "{reason:?}");
        }
    }
}

/// Tables mean walk caches, whatever size somebody promises; leaves keep theirs.
#[test]
fn promise_08_the_flush_is_as_deep_as_the_decision() {
    let range = pages(16, 31);
    for reason in Reason::ALL {
        for decision in decided(reason) {
            let flush = decision.flush(range, Some(PageSize::KIB_4));
            if decision.call() == Call::Retire {
                assert_eq!(flush, Flush::all());
                continue;
            }
            assert_eq!(*flush.range(), FlushRange::Pages(range), "{reason:?}");
            assert_eq!(flush.depth(), decision.depth(), "{reason:?}");
            let promised = decision.size_counts().then_some(PageSize::KIB_4);
            assert_eq!(flush.promised_leaf_size(), promised, "{reason:?}");
            assert_eq!(decision.flush(range, None).promised_leaf_size(), None);
        }
    }
}

/// Freed, moved, unshared and replaced tables drop walk caches on every architecture.
#[test]
fn promise_08_every_change_of_tables_is_one() {
    let tables = [
        Reason::TableFreed,
        Reason::TableMoved,
        Reason::TableUnshared,
        Reason::Collapse,
        Reason::SpaceExit,
        Reason::KernelTableFreed,
    ];
    for reason in Reason::ALL {
        let is_one = tables.contains(&reason);
        for decision in decided(reason) {
            assert_eq!(decision.depth() == Depth::Tables, is_one, "{reason:?}");
        }
    }
}

/// The strictest comes first, so that what is gathered may wait as long as the smaller of two.
#[test]
fn delays_are_in_order() {
    let order = [
        PutOff::No,
        PutOff::UntilTableUnlocked,
        PutOff::UntilSpaceUnlocked,
        PutOff::UntilRead,
        PutOff::UntilReuse,
        PutOff::Freely,
    ];
    assert!(order.is_sorted());
    assert!(order.windows(2).all(|pair| pair[0] != pair[1]));
}
