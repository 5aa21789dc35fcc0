//! What a kernel does to its page tables, from the change to the flush to whoever had the old entry: every operation of Linux' memory
//! management, on CPUs of three architectures, alone and beside each of four devices that share the process's table.
//!
//! A row is one operation, in the order in which a kernel makes its stores and its calls. CPUs and device have cached what is about to change
//! and what leads there; one more CPU is lazy. The row's function says when the flush may come at the latest, what it costs, what comes
//! free and when, and what everybody sees afterwards; the oracle looks for stale entries, used or held. Where the device's tables are of
//! another format than the CPUs', the kernel keeps two.
//!
//! `left_out` are the controls: the same kernel without the library's calls, then with the device untold. Each must be caught, on the side
//! and on no other than the row says.
//!
//! Every row holds promises 1 (under machines whose stores are late), 3, 4 and 5, and 11 by its cost; rows that free, move or unshare tables hold 8, upgrades
//! 9, the end of a process 7 and 10.
//!
//! Where Linux leaves something out (6.6 to 7.1) the row says so: POWER's page flushes and upgrades, and x86-64's upgrades by a fault, tell
//! no device; accessed flags are cleared without a flush; IOMMUs are not told of freed kernel tables before 6.19.

mod harness;
mod huge;
mod kernel_half;
mod matrix;
mod mremap;
mod protect;
mod reclaim;
mod replace;
#[path = "../support/ring_lock.rs"]
mod ring_lock;
#[path = "../support/translation.rs"]
mod translation;
mod unmap;

use matrix::row;

row!(munmap: unmap::munmap, EVERYBODY);
row!(table_free: unmap::table_free, EVERYBODY);
row!(exit_mmap: unmap::exit_mmap, EVERYBODY);
row!(mprotect_downgrade: protect::mprotect_downgrade, EVERYBODY);
row!(mprotect_upgrade: protect::mprotect_upgrade, UPGRADE);
row!(fault_time_upgrade: protect::fault_time_upgrade, FAULTING_CPUS);
row!(spurious_write_fault: protect::spurious_write_fault, ONE_CPU);
row!(cow_break: replace::cow_break, EVERYBODY);
row!(fork_write_protect: protect::fork_write_protect, EVERYBODY);
row!(reclaim_unmap: reclaim::reclaim_unmap, EVERYBODY);
row!(page_migration: reclaim::page_migration, EVERYBODY);
row!(device_migration: reclaim::device_migration, EVERYBODY);
row!(page_mkclean_and_ksm: protect::page_mkclean_and_ksm, EVERYBODY);
row!(thp_split: huge::thp_split, EVERYBODY);
row!(thp_collapse: huge::thp_collapse, EVERYBODY);
row!(thp_zap_and_move: huge::thp_zap_and_move, EVERYBODY);
row!(mremap_entries: mremap::mremap, EVERYBODY);
row!(hugetlb_unmap: unmap::hugetlb_unmap, EVERYBODY);
row!(hugetlb_pmd_unshare: huge::hugetlb_pmd_unshare, EVERYBODY);
row!(hugetlb_mprotect: protect::hugetlb_mprotect, EVERYBODY);
row!(uprobe: replace::uprobe, EVERYBODY);
row!(clear_young: reclaim::clear_young, EVERYBODY);
row!(numa_hinting: protect::numa_hinting, EVERYBODY);
row!(vmalloc: kernel_half::vmalloc, KERNEL_HALF);
