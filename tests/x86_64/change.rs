//! Which changes of an entry need a flush.
//!
//! The table is written out bit by bit from Intel SDM Vol 3A 4.10.4.2 and 4.10.4.3, with Linux's `pte_flags_need_flush` as the
//! second source. Where the two differ the stricter one holds: R/W and XD that are only widened are upgrades here (4.10.4.3: a
//! spurious fault at most) and flushes there.

use crate::common::one;
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::arch::x86_64::change::Level::{self, Directory, PageTable};
use tlb_shootdown::arch::x86_64::change::Needed::{self, Change, Nothing, Replace, Upgrade};
use tlb_shootdown::arch::x86_64::change::{decide, needed};
use tlb_shootdown::change::Reason;

const P: u64 = 1;
const RW: u64 = 2;
const A: u64 = 0x20;
const D: u64 = 0x40;
const PS: u64 = 0x80;
const XD: u64 = 0x8000_0000_0000_0000;

/// One bit, what setting it needs, and what clearing it needs in a page table and above.
type Row = (u32, Needed, Needed, Needed);

const TABLE: [Row; 64] = [
    (0, Nothing, Change, Change),   // P
    (1, Upgrade, Change, Change),   // R/W, while D is clear
    (2, Change, Change, Change),    // U/S
    (3, Change, Change, Change),    // PWT
    (4, Change, Change, Change),    // PCD
    (5, Nothing, Nothing, Change),  // A
    (6, Nothing, Change, Change),   // D, while R/W is set
    (7, Change, Change, Change),    // PAT; PS apart
    (8, Change, Change, Change),    // G
    (9, Nothing, Nothing, Nothing), // software
    (10, Nothing, Nothing, Nothing),
    (11, Nothing, Nothing, Nothing),
    (12, Change, Change, Change), // the address; PAT of a large page
    (13, Change, Change, Change),
    (14, Change, Change, Change),
    (15, Change, Change, Change),
    (16, Change, Change, Change),
    (17, Change, Change, Change),
    (18, Change, Change, Change),
    (19, Change, Change, Change),
    (20, Change, Change, Change),
    (21, Change, Change, Change),
    (22, Change, Change, Change),
    (23, Change, Change, Change),
    (24, Change, Change, Change),
    (25, Change, Change, Change),
    (26, Change, Change, Change),
    (27, Change, Change, Change),
    (28, Change, Change, Change),
    (29, Change, Change, Change),
    (30, Change, Change, Change),
    (31, Change, Change, Change),
    (32, Change, Change, Change),
    (33, Change, Change, Change),
    (34, Change, Change, Change),
    (35, Change, Change, Change),
    (36, Change, Change, Change),
    (37, Change, Change, Change),
    (38, Change, Change, Change),
    (39, Change, Change, Change),
    (40, Change, Change, Change),
    (41, Change, Change, Change),
    (42, Change, Change, Change),
    (43, Change, Change, Change),
    (44, Change, Change, Change),
    (45, Change, Change, Change),
    (46, Change, Change, Change),
    (47, Change, Change, Change),
    (48, Change, Change, Change),
    (49, Change, Change, Change),
    (50, Change, Change, Change),
    (51, Change, Change, Change),
    (52, Nothing, Nothing, Nothing), // software
    (53, Nothing, Nothing, Nothing),
    (54, Nothing, Nothing, Nothing),
    (55, Nothing, Nothing, Nothing),
    (56, Nothing, Nothing, Nothing),
    (57, Nothing, Nothing, Nothing),
    (58, Nothing, Nothing, Nothing),
    (59, Change, Change, Change), // protection key
    (60, Change, Change, Change),
    (61, Change, Change, Change),
    (62, Change, Change, Change),
    (63, Change, Upgrade, Upgrade), // XD
];

/// A present entry in which the bit may be flipped without its neighbour's rule coming into play.
fn surroundings(bit: u32) -> u64 {
    match bit {
        0 => 0x1000 | RW | A | D,
        1 => 0x1000 | P | A,
        _ => 0x1000 | P | RW | A | D,
    }
}

fn check(bit: u32, level: Level, set: Needed, cleared: Needed) {
    let mask = 1u64 << bit;
    for extra in [0, PS] {
        let with = surroundings(bit) | extra | mask;
        let without = with & !mask;
        let name = format!("bit {bit}, {level:?}, beside {extra:#x}");
        assert_eq!(needed(without, with, level), set, "{name}, set");
        assert_eq!(needed(with, without, level), cleared, "{name}, cleared");
        assert_eq!(needed(with, with, level), Nothing, "{name}, unchanged");
    }
}

#[test]
fn promise_09_every_bit_in_both_directions() {
    for (index, (bit, set, in_table, above)) in TABLE.into_iter().enumerate() {
        assert_eq!(index, bit as usize);
        check(bit, PageTable, set, in_table);
        match bit {
            7 => check(bit, Directory, Replace, Replace),
            _ => check(bit, Directory, set, above),
        }
    }
}

/// Entries that are not present are not cached, whatever they become (4.10.4.3, first rule).
#[test]
fn a_new_mapping_needs_nothing() {
    for new in [0, P, P | RW | D, u64::MAX] {
        assert_eq!(needed(0x1234_5000 | RW, new, PageTable), Nothing);
        assert_eq!(needed(!P, new, Directory), Nothing);
    }
}

/// A page for shadow stacks is read-only and dirty (4.6.1): making it writable takes the right to push away.
#[test]
fn promise_09_shadow_stacks_are_not_upgraded_in_place() {
    let stack = 0x1000 | P | A | D;
    assert_eq!(needed(stack, stack | RW, PageTable), Change);
    assert_eq!(needed(stack & !D, stack, PageTable), Upgrade);
    assert_eq!(needed(stack & !D, stack | RW, PageTable), Upgrade);
}

/// Intel SDM Vol 3A 4.10.2.3: a large page and a table are never live together. Linux' `pmdp_invalidate` keeps to it as well (for AMD
/// family 10h, erratum 383: the comment in `__split_huge_pmd_locked`).
#[test]
fn promise_08_large_page_and_table_take_turns() {
    let (large, table) = (0x20_0000 | P | RW | A | D | PS, 0x1000 | P | RW | A);
    assert_eq!(needed(large, table, Directory), Replace);
    assert_eq!(needed(table, large, Directory), Replace);
    assert_eq!(needed(large, 0, Directory), Change);
    assert_eq!(needed(large, large & !P & !PS, Directory), Change);
    assert_eq!(needed(0, large, Directory), Nothing);
}

/// The strictest of several changes at once wins.
#[test]
fn promise_09_mixed_changes() {
    let old = 0x1000 | P | A | XD;
    assert_eq!(needed(old, 0x1000 | P | A | RW, PageTable), Upgrade);
    assert_eq!(needed(old, 0x1000 | P | RW, Directory), Change);
    assert_eq!(needed(old, 0x2000 | P | A | RW, PageTable), Change);
    // Copied on write: another page, writable.
    assert_eq!(
        needed(0x1000 | P | A, 0x2000 | P | A | D | RW, PageTable),
        Change
    );
    assert_eq!(needed(0x1000 | P | RW, 0, PageTable), Change);
}

/// What the engine of this architecture is asked for.
#[test]
fn promise_08_the_architecture_decides() {
    let world = one();
    for reason in Reason::ALL {
        assert_eq!(
            world.engine.arch().decide(reason),
            decide(reason),
            "{reason:?}"
        );
    }
}
