//! Which changes of a descriptor need what.
//!
//! The table is written out bit by bit from two sources. First, Arm ARM D8.3 for what a bit is, and D8, "Using break-before-make when
//! updating translation table entries", for what may change in one store. Second, Linux: `asm/pgtable-hwdef.h` for the bits,
//! `pgattr_change_is_safe` for one store (AP\[2\], DBM, PXN and nG from clear to set alone), `__pte_flags_need_flush` for no flush (58:55, and
//! there also 63, which is FEAT_MEC's by now and stricter here).

use crate::common::full;
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::arch::aarch64::change::Level::{self, Directory, PageTable};
use tlb_shootdown::arch::aarch64::change::Needed::{self, Change, Nothing, Replace, Upgrade};
use tlb_shootdown::arch::aarch64::change::{decide, needed};
use tlb_shootdown::change::Reason;

const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 2;
const READ_ONLY: u64 = 0x80;
const AF: u64 = 0x400;
const NG: u64 = 0x800;
const CONTIGUOUS: u64 = 0x0010_0000_0000_0000;
const NO_EXECUTE: u64 = 0x0060_0000_0000_0000;
const UXN: u64 = 0x0040_0000_0000_0000;
const DBM: u64 = 0x0008_0000_0000_0000;

/// A page of a process that is never executed, as others are made from.
const PAGE: u64 = 0x8000_0000 | VALID | TABLE_OR_PAGE | READ_ONLY | AF | NG | NO_EXECUTE;
const BLOCK: u64 = PAGE & !TABLE_OR_PAGE;
const TABLE: u64 = 0x8000_0000 | VALID | TABLE_OR_PAGE;

/// One bit; of a leaf entry: what setting it needs, and clearing it; the same of an entry for a table.
type Row = (u32, Needed, Needed, Needed, Needed);

const TABLE_OF_BITS: [Row; 64] = [
    (0, Nothing, Change, Nothing, Change),   // valid
    (1, Nothing, Nothing, Nothing, Nothing), // block or table, page: apart
    (2, Replace, Replace, Nothing, Nothing), // AttrIndx
    (3, Replace, Replace, Nothing, Nothing),
    (4, Replace, Replace, Nothing, Nothing),
    (5, Replace, Replace, Nothing, Nothing), // NS
    (6, Change, Change, Nothing, Nothing),   // AP[1]
    (7, Change, Upgrade, Nothing, Nothing),  // AP[2]
    (8, Replace, Replace, Nothing, Nothing), // SH, or the address
    (9, Replace, Replace, Nothing, Nothing),
    (10, Nothing, Change, Nothing, Change),   // AF
    (11, Change, Replace, Nothing, Nothing),  // nG
    (12, Replace, Replace, Replace, Replace), // the address
    (13, Replace, Replace, Replace, Replace),
    (14, Replace, Replace, Replace, Replace),
    (15, Replace, Replace, Replace, Replace),
    (16, Replace, Replace, Replace, Replace), // the address; nT of a block
    (17, Replace, Replace, Replace, Replace),
    (18, Replace, Replace, Replace, Replace),
    (19, Replace, Replace, Replace, Replace),
    (20, Replace, Replace, Replace, Replace),
    (21, Replace, Replace, Replace, Replace),
    (22, Replace, Replace, Replace, Replace),
    (23, Replace, Replace, Replace, Replace),
    (24, Replace, Replace, Replace, Replace),
    (25, Replace, Replace, Replace, Replace),
    (26, Replace, Replace, Replace, Replace),
    (27, Replace, Replace, Replace, Replace),
    (28, Replace, Replace, Replace, Replace),
    (29, Replace, Replace, Replace, Replace),
    (30, Replace, Replace, Replace, Replace),
    (31, Replace, Replace, Replace, Replace),
    (32, Replace, Replace, Replace, Replace),
    (33, Replace, Replace, Replace, Replace),
    (34, Replace, Replace, Replace, Replace),
    (35, Replace, Replace, Replace, Replace),
    (36, Replace, Replace, Replace, Replace),
    (37, Replace, Replace, Replace, Replace),
    (38, Replace, Replace, Replace, Replace),
    (39, Replace, Replace, Replace, Replace),
    (40, Replace, Replace, Replace, Replace),
    (41, Replace, Replace, Replace, Replace),
    (42, Replace, Replace, Replace, Replace),
    (43, Replace, Replace, Replace, Replace),
    (44, Replace, Replace, Replace, Replace),
    (45, Replace, Replace, Replace, Replace),
    (46, Replace, Replace, Replace, Replace),
    (47, Replace, Replace, Replace, Replace),
    (48, Replace, Replace, Replace, Replace),
    (49, Replace, Replace, Replace, Replace),
    (50, Change, Change, Replace, Replace),   // GP
    (51, Upgrade, Change, Change, Change),    // DBM
    (52, Replace, Replace, Change, Change),   // contiguous
    (53, Change, Change, Change, Change),     // PXN
    (54, Change, Change, Change, Change),     // UXN
    (55, Nothing, Nothing, Nothing, Nothing), // software
    (56, Nothing, Nothing, Nothing, Nothing),
    (57, Nothing, Nothing, Nothing, Nothing),
    (58, Nothing, Nothing, Nothing, Nothing),
    (59, Replace, Replace, Change, Change), // AttrIndx[3]; PXNTable
    (60, Change, Change, Change, Change),   // overlay, PBHA; UXNTable
    (61, Change, Change, Change, Change),   // APTable
    (62, Change, Change, Change, Change),
    (63, Replace, Replace, Replace, Replace), // AMEC; NSTable
];

fn check(around: u64, level: Level, bit: u32, set: Needed, cleared: Needed) {
    let with = around | 1 << bit;
    let without = with & !(1 << bit);
    for support in [0, 1, 2] {
        // With level 2 the contiguous bit of a leaf changes in place.
        let expected = |needed| match (bit, needed, support) {
            (52, Replace, 2) => Change,
            _ => needed,
        };
        let name = format!("bit {bit} of {around:#x}, {level:?}, FEAT_BBM {support}");
        let decide = |old, new| needed(old, new, level, support);
        assert_eq!(decide(without, with), expected(set), "{name}, set");
        assert_eq!(decide(with, without), expected(cleared), "{name}, cleared");
        assert_eq!(decide(with, with), Nothing, "{name}, unchanged");
    }
}

#[test]
fn promise_09_every_bit_in_both_directions() {
    for (index, (bit, set, cleared, table_set, table_cleared)) in
        TABLE_OF_BITS.into_iter().enumerate()
    {
        assert_eq!(index, bit as usize);
        if bit == 1 {
            continue;
        }
        check(PAGE, PageTable, bit, set, cleared);
        check(BLOCK, Directory, bit, set, cleared);
        check(TABLE, Directory, bit, table_set, table_cleared);
    }
}

/// Bit 1: a table and a block are of different sizes; at the last level 0b01 is reserved, and so invalid.
#[test]
fn promise_08_block_and_table_take_turns() {
    for (old, new) in [(BLOCK, TABLE), (TABLE, BLOCK), (BLOCK, BLOCK | 2)] {
        assert_eq!(needed(old, new, Directory, 0), Replace);
        assert_eq!(needed(old, new, Directory, 1), Replace, "needs nT as well");
        assert_eq!(needed(old, new, Directory, 2), Change);
        assert_eq!(needed(old, 0, Directory, 0), Change);
    }
    assert_eq!(needed(PAGE, PAGE & !TABLE_OR_PAGE, PageTable, 0), Change);
    assert_eq!(needed(PAGE & !TABLE_OR_PAGE, PAGE, PageTable, 0), Nothing);
}

/// What is invalid, or has never been accessed, is in no TLB, whatever it becomes.
#[test]
fn a_new_mapping_needs_nothing() {
    for new in [0, PAGE, PAGE & !READ_ONLY, u64::MAX] {
        for level in [PageTable, Directory] {
            assert_eq!(needed(0x9000_0000 | AF, new, level, 0), Nothing);
            assert_eq!(needed(!VALID, new, level, 0), Nothing);
        }
        assert_eq!(needed(PAGE & !AF, new, PageTable, 0), Nothing);
        assert_eq!(needed(BLOCK & !AF, new, Directory, 0), Nothing);
    }
    // A table has no such flag without FEAT_HAFT.
    assert_eq!(needed(TABLE, 0, Directory, 0), Change);
}

/// One entry of the TLB may stand for the whole group, brought in by a neighbour with AF set.
#[test]
fn promise_03_members_of_a_group_may_be_cached_without_their_flag() {
    let member = (PAGE | CONTIGUOUS) & !AF;
    assert_eq!(needed(member, 0, PageTable, 2), Change);
    assert_eq!(needed(member, PAGE & !AF, PageTable, 0), Replace);
    assert_eq!(needed(member, member | AF, PageTable, 0), Nothing);
}

/// With `SCTLR_EL1.WXN` what may be written may not be executed, and at EL1 neither what EL0 may write: a write given is an execution
/// taken away.
#[test]
fn promise_09_what_may_be_executed_is_not_upgraded() {
    let writable = PAGE & !READ_ONLY;
    assert_eq!(needed(PAGE, writable, PageTable, 0), Upgrade);
    assert_eq!(needed(PAGE, PAGE | DBM, PageTable, 0), Upgrade);
    for executable in [UXN, NO_EXECUTE & !UXN, NO_EXECUTE] {
        let (old, new) = (PAGE & !executable, writable & !executable);
        assert_eq!(needed(old, new, PageTable, 0), Change);
        assert_eq!(needed(old, old | DBM, PageTable, 0), Change);
    }
}

/// The strictest of several changes at once wins.
#[test]
fn promise_09_mixed_changes() {
    let writable = PAGE & !READ_ONLY;
    // Made writable, young and dirty (a software bit) by a fault.
    let faulted = writable | 1 << 55;
    assert_eq!(needed(PAGE, faulted, PageTable, 0), Upgrade);
    // Copied on write: another page, writable.
    assert_eq!(needed(PAGE, writable ^ 0x1000, PageTable, 2), Replace);
    // Made writable and old at once.
    assert_eq!(needed(PAGE, writable & !AF, PageTable, 0), Change);
    // Out of a contiguous group, and elsewhere.
    let group = PAGE | CONTIGUOUS;
    assert_eq!(needed(group, PAGE ^ 0x1000, PageTable, 2), Replace);
    assert_eq!(needed(group, writable, PageTable, 2), Change);
}

/// The engine of this architecture is asked for what is right although nobody handles TLB conflict aborts.
#[test]
fn promise_08_the_architecture_decides() {
    let machine = full();
    for reason in Reason::ALL {
        assert_eq!(machine.decide(reason), decide(reason, 0), "{reason:?}");
    }
}
