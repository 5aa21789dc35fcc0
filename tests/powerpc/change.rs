//! Which changes of a radix entry need what.
//!
//! The table is written out bit by bit from two sources. First, Power ISA 3.1B, Book III 6.7.10.2 for what a bit is (V 0, L 1, SW 2 and 52:54,
//! RPN 7:51, R 55, C 56, ATT 58:59, EAA 60:63; NLB 4:55, NLS 59:63; bit n of the manual is 63 - n here) and 6.10.1.2 for how it is
//! modified. Second, the masks of an emulator, `target/ppc/mmu-radix64.h` of QEMU (`R_PTE_RPN` 0x01fffffffffff000, `R_PTE_SW1` 0xe00,
//! `R_PDE_NLB` 0x0fffffffffffff00), and Linux: `pte_needs_flush` of `asm/book3s/64/tlbflush.h` for what needs a flush (which also flushes
//! for software bits, and not for a large page's R), `set_ptes` for one store: it warns where the old entry is valid.

use crate::common::World;
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::arch::powerpc::change::Level::{self, Directory, PageTable};
use tlb_shootdown::arch::powerpc::change::Needed::{self, Change, Nothing, Replace, Upgrade};
use tlb_shootdown::arch::powerpc::change::{decide, needed};
use tlb_shootdown::change::Reason;

const V: u64 = 0x8000_0000_0000_0000;
const L: u64 = 0x4000_0000_0000_0000;
const R: u64 = 0x100;
const C: u64 = 0x80;
const READ: u64 = 4;
const WRITE: u64 = 2;

/// A page as others are made from, and an entry for a table.
const PAGE: u64 = V | L | 0x1_0000 | R | READ;
const TABLE: u64 = V | 0x2_0000 | 9;

/// One bit; of a page: what setting it needs, clearing it in the last level, clearing it above; of an entry for a table: either.
type Row = (u32, Needed, Needed, Needed, Needed);

const TABLE_OF_BITS: [Row; 64] = [
    (0, Upgrade, Change, Change, Replace),   // execute; NLS
    (1, Upgrade, Change, Change, Replace),   // write
    (2, Upgrade, Change, Change, Replace),   // read
    (3, Change, Change, Change, Replace),    // privileged
    (4, Replace, Replace, Replace, Replace), // ATT
    (5, Replace, Replace, Replace, Change),
    (6, Change, Change, Change, Change),     // reserved
    (7, Nothing, Change, Change, Change),    // C
    (8, Nothing, Nothing, Change, Replace),  // R; NLB
    (9, Nothing, Nothing, Nothing, Replace), // software
    (10, Nothing, Nothing, Nothing, Replace),
    (11, Nothing, Nothing, Nothing, Replace),
    (12, Replace, Replace, Replace, Replace), // RPN
    (13, Replace, Replace, Replace, Replace),
    (14, Replace, Replace, Replace, Replace),
    (15, Replace, Replace, Replace, Replace),
    (16, Replace, Replace, Replace, Replace),
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
    (50, Replace, Replace, Replace, Replace),
    (51, Replace, Replace, Replace, Replace),
    (52, Replace, Replace, Replace, Replace),
    (53, Replace, Replace, Replace, Replace),
    (54, Replace, Replace, Replace, Replace),
    (55, Replace, Replace, Replace, Replace),
    (56, Replace, Replace, Replace, Replace),
    (57, Change, Change, Change, Replace), // reserved
    (58, Change, Change, Change, Replace),
    (59, Change, Change, Change, Replace),
    (60, Change, Change, Change, Change),
    (61, Nothing, Nothing, Nothing, Change),  // software
    (62, Replace, Replace, Replace, Replace), // L
    (63, Nothing, Change, Change, Nothing),   // V; of a table apart
];

fn check(around: u64, level: Level, bit: u32, set: Needed, cleared: Needed) {
    let with = around | 1 << bit;
    let without = with & !(1 << bit);
    let name = format!("bit {bit} of {around:#x}, {level:?}");
    assert_eq!(needed(without, with, level), set, "{name}, set");
    assert_eq!(needed(with, without, level), cleared, "{name}, cleared");
    assert_eq!(needed(with, with, level), Nothing, "{name}, unchanged");
}

#[test]
fn promise_09_every_bit_in_both_directions() {
    for (index, (bit, set, in_table, above, table)) in TABLE_OF_BITS.into_iter().enumerate() {
        assert_eq!(index, bit as usize);
        check(PAGE, PageTable, bit, set, in_table);
        check(PAGE, Directory, bit, set, above);
        if bit != 63 {
            check(TABLE, Directory, bit, table, table);
        }
    }
    assert_eq!(needed(TABLE, TABLE & !V, Directory), Change);
}

#[test]
fn a_new_mapping_needs_nothing() {
    for new in [0, PAGE, TABLE, PAGE | WRITE | C, u64::MAX] {
        for level in [PageTable, Directory] {
            assert_eq!(needed(0, new, level), Nothing);
            assert_eq!(needed(!V, new, level), Nothing);
        }
    }
}

/// A page gives way to a table, and a table to a page, through an invalid entry.
#[test]
fn promise_08_page_and_table_take_turns() {
    assert_eq!(needed(PAGE, TABLE, Directory), Replace);
    assert_eq!(needed(TABLE, PAGE, Directory), Replace);
    assert_eq!(needed(PAGE, 0, Directory), Change);
    assert_eq!(needed(TABLE, 0, Directory), Change);
}

/// The strictest of several changes at once wins.
#[test]
fn promise_09_mixed_changes() {
    // Made writable and dirty by a fault.
    assert_eq!(needed(PAGE, PAGE | WRITE | C, PageTable), Upgrade);
    // Rights given and taken.
    assert_eq!(needed(PAGE, (PAGE | WRITE) & !READ, PageTable), Change);
    assert_eq!(needed(PAGE | C, PAGE | WRITE, PageTable), Change);
    // Copied on write.
    assert_eq!(needed(PAGE, (PAGE + 0x1_0000) | WRITE, PageTable), Replace);
    // Young no more, and writable.
    assert_eq!(needed(PAGE, (PAGE | WRITE) & !R, PageTable), Upgrade);
    assert_eq!(needed(PAGE, (PAGE | WRITE) & !R, Directory), Change);
}

/// What the engine of this architecture is asked for.
#[test]
fn promise_08_the_architecture_decides() {
    let world = World::power10(1);
    for reason in Reason::ALL {
        assert_eq!(
            world.engine.arch().decide(reason),
            decide(reason),
            "{reason:?}"
        );
    }
}
