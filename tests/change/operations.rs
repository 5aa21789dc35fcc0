//! Every operation of memory management: what it needs here, on AArch64, POWER and x86-64, beside what Linux does there (6.6 to 7.1).
//!
//! Sources of Linux' columns: `arch/arm64/include/asm/tlbflush.h` and `mm/contpte.c`; `arch/powerpc/mm/book3s64/radix_tlb.c` and
//! `radix_pgtable.c`; `arch/x86/mm/tlb.c` and `pgtable.c`; `mm/mmu_gather.c`, `mm/rmap.c`, `mm/mremap.c`. Whether a secondary TLB is told is
//! there whether the function that flushes calls `mmu_notifier_arch_invalidate_secondary_tlbs`.

use crate::shown::{decided, shown, tells};
use tlb_shootdown::change::Reason;

struct Row {
    operation: &'static str,
    reason: Reason,
    /// AArch64, POWER, x86-64.
    ours: [&'static str; 3],
    linux: [&'static str; 3],
    linux_tells: [bool; 3],
    /// Where secondary TLBs are told and Linux does not, or the depth differs: why.
    differs: &'static str,
}

const LEAVES_UNTIL_REUSE: &str = "Flush, Leaf, sized, UntilReuse";
const LEAVES_UNTIL_READ: &str = "Flush, Leaf, sized, UntilRead";
const LEAVES_IN_SPACE: &str = "Flush, Leaf, sized, UntilSpaceUnlocked";
const LEAVES_IN_TABLE: &str = "Flush, Leaf, sized, UntilTableUnlocked";
const LEAVES_FREELY: &str = "Flush, Leaf, sized, Freely";
const REPLACE: &str = "Flush, Leaf, sized, No, invalid between";
const UPGRADE: &str = "Upgrade, Leaf, sized, UntilSpaceUnlocked";
const NOTHING: &str = "Nothing, Leaf, Freely";
const TABLES_UNTIL_REUSE: &str = "Flush, Tables, UntilReuse";
const TABLES_IN_TABLE: &str = "Flush, Tables, UntilTableUnlocked";
const TABLES_UNTIL_REUSE_SIZED: &str = "Flush, Tables, sized, UntilReuse";
const TABLES_IN_TABLE_SIZED: &str = "Flush, Tables, sized, UntilTableUnlocked";

const ALL: [bool; 3] = [true; 3];
const NONE: [bool; 3] = [false; 3];
/// POWER's page-sized flushes tell nobody.
const NOT_POWER: [bool; 3] = [true, false, true];

const TABLE: [Row; 30] = [
    Row {
        operation: "munmap, MADV_DONTNEED",
        reason: Reason::Unmap,
        ours: [LEAVES_UNTIL_REUSE; 3],
        linux: ["VALE1IS at the end of the gather", "pages", "range"],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "tables freed by munmap",
        reason: Reason::TableFreed,
        ours: [
            TABLES_UNTIL_REUSE,
            TABLES_UNTIL_REUSE_SIZED,
            TABLES_UNTIL_REUSE,
        ],
        linux: [
            "VAE1IS without a level",
            "pages and walk caches",
            "lazy CPUs too",
        ],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "exit_mmap",
        reason: Reason::SpaceExit,
        ours: ["Retire, Tables, UntilReuse"; 3],
        linux: ["nothing, or the ASID", "RIC 2", "everything of the space"],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "mprotect that takes rights",
        reason: Reason::Downgrade,
        ours: [LEAVES_IN_SPACE; 3],
        linux: ["VALE1IS before mmap_lock is dropped", "pages", "range"],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "mprotect that gives rights",
        reason: Reason::Upgrade,
        ours: [UPGRADE; 3],
        linux: ["flush: any bit changed", "none", "flush: R/W changed"],
        linux_tells: NOT_POWER,
        differs: "POWER: no notice; an accelerator with the old entry faults for ever",
    },
    Row {
        operation: "write fault that reuses the page",
        reason: Reason::Upgrade,
        ours: [UPGRADE; 3],
        linux: ["broadcast, since 6.19 local", "none", "none"],
        linux_tells: [true, false, false],
        differs: "POWER, x86-64: no notice; a device that does not walk again faults for ever",
    },
    Row {
        operation: "spurious write fault",
        reason: Reason::SpuriousFault,
        ours: ["FixSpuriousFault, Leaf, sized, No", NOTHING, NOTHING],
        linux: ["local page", "page where there are copros", "none"],
        linux_tells: NONE,
        differs: "POWER: the upgrade itself told the accelerators",
    },
    Row {
        operation: "copy on write",
        reason: Reason::Replaced,
        ours: [REPLACE; 3],
        linux: ["ptep_clear_flush, then set", "the same", "the same"],
        linux_tells: NOT_POWER,
        differs: "POWER: page flushes tell nobody",
    },
    Row {
        operation: "fork, the parent's pages",
        reason: Reason::Downgrade,
        ours: [LEAVES_IN_SPACE; 3],
        linux: [
            "the ASID at the end",
            "the PID at the end",
            "everything at the end",
        ],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "reclaim",
        reason: Reason::UnmapDirty,
        ours: [LEAVES_UNTIL_READ; 3],
        linux: [
            "TLBI now, DSB later",
            "at once",
            "generation now, IPI later",
        ],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "page migration",
        reason: Reason::Migration,
        ours: ["Flush, Leaf, sized, UntilRead, invalid between"; 3],
        linux: [
            "as reclaim, before the copy",
            "page",
            "as reclaim, before the copy",
        ],
        linux_tells: NOT_POWER,
        differs: "POWER: page flushes tell nobody",
    },
    Row {
        operation: "device migration",
        reason: Reason::DeviceMigration,
        ours: ["Flush, Leaf, sized, UntilTableUnlocked, invalid between"; 3],
        linux: ["VAE1IS", "range", "range, lazy CPUs too"],
        linux_tells: ALL,
        differs: "walk caches stay: no table has changed",
    },
    Row {
        operation: "cleaning for write-back",
        reason: Reason::DirtyCleared,
        ours: [LEAVES_UNTIL_READ; 3],
        linux: ["ptep_clear_flush, page by page", "the same", "the same"],
        linux_tells: NOT_POWER,
        differs: "POWER: page flushes tell nobody",
    },
    Row {
        operation: "write protection before a merge",
        reason: Reason::DirtyCleared,
        ours: [LEAVES_UNTIL_READ; 3],
        linux: ["ptep_clear_flush", "the same", "the same"],
        linux_tells: NOT_POWER,
        differs: "POWER: page flushes tell nobody",
    },
    Row {
        operation: "same-page merging",
        reason: Reason::Replaced,
        ours: [REPLACE; 3],
        linux: ["ptep_clear_flush, then set", "the same", "the same"],
        linux_tells: NOT_POWER,
        differs: "POWER: page flushes tell nobody",
    },
    Row {
        operation: "huge page split",
        reason: Reason::Split,
        ours: [REPLACE; 3],
        linux: ["pmdp_invalidate: VAE1IS, level 2", "2M", "2M"],
        linux_tells: ALL,
        differs: "walk caches stay: there was no table",
    },
    Row {
        operation: "huge page collapse",
        reason: Reason::Collapse,
        ours: [
            "Flush, Tables, No, invalid between",
            "Flush, Tables, sized, No, invalid between",
            "Flush, Tables, No, invalid between",
        ],
        linux: [
            "VAE1IS, pages",
            "walk caches and pages",
            "range, lazy CPUs too",
        ],
        linux_tells: NOT_POWER,
        differs: "POWER with 64K pages: no notice",
    },
    Row {
        operation: "huge page zapped",
        reason: Reason::Unmap,
        ours: [LEAVES_UNTIL_REUSE; 3],
        linux: ["level 2", "2M", "2M"],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "mremap of entries, huge ones as well",
        reason: Reason::EntriesMoved,
        ours: [LEAVES_IN_TABLE; 3],
        linux: ["VAE1IS under both locks", "range", "range, lazy CPUs too"],
        linux_tells: ALL,
        differs: "walk caches stay: tables move under a name of their own",
    },
    Row {
        operation: "mremap of a table",
        reason: Reason::TableMoved,
        ours: [TABLES_IN_TABLE, TABLES_IN_TABLE_SIZED, TABLES_IN_TABLE],
        linux: [
            "VAE1IS under both locks",
            "walk caches from 2M on",
            "lazy CPUs too",
        ],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "hugetlb unmapped",
        reason: Reason::Unmap,
        ours: [LEAVES_UNTIL_REUSE; 3],
        linux: ["level by stride", "its size", "its stride"],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "hugetlb table unshared",
        reason: Reason::TableUnshared,
        ours: [TABLES_IN_TABLE, TABLES_IN_TABLE_SIZED, TABLES_IN_TABLE],
        linux: [
            "VALE1IS until 2026: stale table",
            "walk caches from 1G on",
            "range",
        ],
        linux_tells: ALL,
        differs: "walk caches go: they lead into a table that is somebody else's",
    },
    Row {
        operation: "hugetlb mprotect",
        reason: Reason::Downgrade,
        ours: [LEAVES_IN_SPACE; 3],
        linux: ["range", "range", "range"],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "uprobe inserted, removed",
        reason: Reason::Replaced,
        ours: [REPLACE; 3],
        linux: ["ptep_clear_flush, then set", "the same", "the same"],
        linux_tells: NOT_POWER,
        differs: "POWER: page flushes tell nobody",
    },
    Row {
        operation: "accessed flag of a page cleared",
        reason: Reason::AccessedCleared,
        ours: [LEAVES_FREELY, NOTHING, NOTHING],
        linux: ["VALE1IS, no DSB", "none", "none"],
        linux_tells: [true, false, false],
        differs: "",
    },
    Row {
        operation: "accessed flag of a huge page cleared",
        reason: Reason::LargeAccessedCleared,
        ours: [LEAVES_FREELY; 3],
        linux: ["VALE1IS, no DSB", "none", "2M"],
        linux_tells: NOT_POWER,
        differs: "POWER: a huge page stays in the TLB for long and would look idle",
    },
    Row {
        operation: "hinting faults by PROT_NONE",
        reason: Reason::Downgrade,
        ours: [LEAVES_IN_SPACE; 3],
        linux: ["range", "range", "range"],
        linux_tells: ALL,
        differs: "",
    },
    Row {
        operation: "vfree",
        reason: Reason::KernelMapping,
        ours: ["FlushKernel, Leaf, sized, UntilReuse"; 3],
        linux: ["VAALE1IS", "all of PID 0", "INVLPG everywhere"],
        linux_tells: NONE,
        differs: "",
    },
    Row {
        operation: "rights of kernel pages",
        reason: Reason::KernelRights,
        ours: ["FlushKernel, Leaf, sized, No"; 3],
        linux: ["VAALE1IS", "all of PID 0", "INVLPG everywhere"],
        linux_tells: NONE,
        differs: "",
    },
    Row {
        operation: "kernel tables freed",
        reason: Reason::KernelTableFreed,
        ours: ["FlushKernelTables, Tables, UntilReuse"; 3],
        linux: ["VAAE1IS", "all of PID 0", "everything; IOMMUs since 6.19"],
        linux_tells: NONE,
        differs: "IOMMUs that walk a root with a kernel half cache its tables",
    },
];

/// Not of Linux' memory management, or not by a function of its own.
const BEYOND: [(Reason, [&str; 3]); 3] = [
    (Reason::ContiguousHint, [REPLACE, NOTHING, NOTHING]),
    (Reason::MemoryType, [REPLACE; 3]),
    (
        Reason::ProtectionKey,
        [LEAVES_IN_SPACE, NOTHING, LEAVES_IN_SPACE],
    ),
];

#[test]
fn promise_03_every_operation_on_every_architecture() {
    for row in &TABLE {
        let decided = decided(row.reason).map(shown);
        assert_eq!(
            decided, row.ours,
            "{}; Linux: {:?}",
            row.operation, row.linux
        );
    }
    for (reason, ours) in BEYOND {
        assert_eq!(decided(reason).map(shown), ours, "{reason:?}");
    }
}

/// Whoever is told by Linux is told here, and where it is more the table says why.
#[test]
fn promise_09_secondary_tlbs_are_told_at_least_where_linux_does() {
    for row in &TABLE {
        let ours = decided(row.reason);
        for (decision, linux) in ours.iter().zip(row.linux_tells) {
            assert!(tells(decision) >= linux, "{}", row.operation);
            assert!(
                tells(decision) == linux || !row.differs.is_empty(),
                "{} tells, Linux does not, and nobody says why",
                row.operation
            );
        }
    }
}

#[test]
fn no_reason_is_left_out() {
    for reason in Reason::ALL {
        let in_table = TABLE.iter().any(|row| row.reason == reason);
        let beyond = BEYOND.iter().any(|row| row.0 == reason);
        assert!(in_table != beyond, "{reason:?}");
    }
}
