//! TLB shootdown for kernels: CPUs and IOMMU device TLBs under one proof of completion.
//!
//! A kernel hands this crate "these translations changed". It returns only when no CPU and no device can use the old ones any
//! more, and it is the only place where that is decided.
//!
//! # What to implement
//! * [`Platform`](platform::Platform): CPU numbers, pinning, interrupts, IPIs, and a clock if there is one.
//! * [`FrameSink`](ticket::FrameSink): where frames and tables go once nobody uses them, and where they go when somebody has
//!   not answered.
//! * For an IOMMU: [`Mmio`](dma::Mmio) (or [`VolatileMmio`](dma::VolatileMmio)) and [`DmaBarriers`](dma::DmaBarriers). For a device of one's
//!   own: [`SecondaryTlb`](secondary::SecondaryTlb).
//!
//! # What to call
//! | when | what |
//! |---|---|
//! | a CPU starts, stops | [`cpu_online`](shootdown::Shootdown::cpu_online), [`cpu_offline`](shootdown::Shootdown::cpu_offline) |
//! | the CPUs of the machine have started | `seal_features` of the architecture: [AArch64](arch::aarch64::Aarch64::seal_features), [x86-64](arch::x86_64::X86_64::seal_features); POWER has nothing to seal |
//! | a process begins, ends | [`new_space`](shootdown::Shootdown::new_space), [`retire`](shootdown::Shootdown::retire) |
//! | the context switch | [`switch_to`](shootdown::Shootdown::switch_to), then [`root_loaded`](shootdown::Shootdown::root_loaded); [`before_migration`](shootdown::Shootdown::before_migration) |
//! | a kernel thread or the idle task borrows the root, or loads the kernel's own | [`enter_lazy`](shootdown::Shootdown::enter_lazy), [`switch_to_kernel`](shootdown::Shootdown::switch_to_kernel) |
//! | x86-64 with page-table isolation leaves for user mode | [`user_cr3_on_exit`](arch::x86_64::X86_64::user_cr3_on_exit) |
//! | one operation unmaps pages and frees tables; pages of many spaces are reclaimed | [`Gather`](batch::Gather), [`Reclaim`](batch::Reclaim) |
//! | a task awaits a shootdown; several are waited for at once | [`Ticket`](ticket::Ticket) and a batch's [`Flushing`](batch::Flushing) are futures, [`Completion`](ticket::Completion); [`wait_for_all`](ticket::wait_for_all) |
//! | an entry is found missing where a batch may not have been flushed | [`flush_pending`](shootdown::Shootdown::flush_pending) |
//! | page tables change, and the question is what that asks for | [`change`]: from a named reason, or from the old and the new entry |
//! | a mapping was removed, downgraded, pointed elsewhere | [`flush`](shootdown::Shootdown::flush) or [`start`](shootdown::Shootdown::start) |
//! | rights were widened, nothing else | [`upgrade`](shootdown::Shootdown::upgrade), or [`flush_upgrade`](shootdown::Shootdown::flush_upgrade) after the store |
//! | old and new entry must never be live at once | [`replace`](shootdown::Shootdown::replace), which makes both stores visible |
//! | a write fault finds the entry writable | [`fix_spurious_fault`](shootdown::Shootdown::fix_spurious_fault) |
//! | kernel mappings, kernel tables | [`flush_kernel_range`](shootdown::Shootdown::flush_kernel_range), [`flush_kernel_tables`](shootdown::Shootdown::flush_kernel_tables) |
//! | an IOMMU is found, a device appears behind it | the driver: [`smmuv3`](iommu::smmuv3), [`vtd`](iommu::vtd), [`amd`](iommu::amd), [`ocxl`](iommu::ocxl) |
//! | a device shares, no longer shares a process's tables | [`attach`](shootdown::Shootdown::attach), [`detach`](shootdown::Shootdown::detach) |
//! | a device with a table of its own copies from a process's | [`Intervals`](notifier::interval::Intervals): it subscribes to ranges, and changes of them begin and end there |
//! | the shootdown interrupt; spin loops with interrupts off; the NMI | [`on_ipi`](shootdown::Shootdown::on_ipi); [`poll`](shootdown::Shootdown::poll); [`on_nmi`](shootdown::Shootdown::on_nmi) |
//!
//! The README has a worked example, which is compiled and run with the tests.
//!
//! # The way of a flush
//! The kernel stores to the page table first. Then, in [`shootdown`]: the stores are made visible to every walker; the
//! identifier and who may hold entries are read; every device queue is filled and rung and every CPU started, before anybody is
//! waited for; a [`Ticket`](ticket::Ticket) collects the answers, and on the last one releases what it holds.
//!
//! # Promises
//! Tests name the promise they test by its number.
//!
//! 1. *Visible first*: page-table stores are visible to CPU and IOMMU walkers before the first invalidation.
//! 2. *Nobody missed*: who joins has published that before its first walk; who to flush is read after the stores.
//! 3. *Complete means complete*: on the issuing CPU, every acknowledging CPU, every attached secondary TLB with its device TLBs.
//! 4. *Nothing freed early*: on a time-out memory stays owned, and the error names who did not answer.
//! 5. *Nothing lost*: a request is widened or waits for room; another's error does not swallow mine.
//! 6. *No deadlock*: waiting serves one's own requests, and holds no lock.
//! 7. *Ids are clean*: an identifier is reused only after every agent has flushed it.
//! 8. *Walk caches too*: freed, moved or unshared tables drop non-leaf entries; a level hint is given only when it is known.
//! 9. *Upgrade asymmetry*: an upgrade always tells secondary TLBs that do not walk anew; CPUs may repair themselves where the
//!    platform says so, never for kernel mappings.
//! 10. *Released means silent*: after release no device walks the address space, even though no flush follows.
//! 11. *Over-flush is legal, counted and bounded*; under-flush is a bug.
//! 12. *Bounded, quiet paths*: no allocation, no sleeping, no logging under a lock or in an interrupt; one deadline for all.
//!
//! # Features
//! `log` and `defmt` add implementations of those crates' traits, and a line in [`report`]; neither changes behaviour, sizes
//! or layouts.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

#[cfg(any(test, tlb_defects))]
extern crate std;

pub mod address;
pub mod arch;
mod attachment;
pub mod batch;
pub mod change;
pub mod cost;
pub mod cpu_set;
pub mod deadline;
mod defects;
pub mod dma;
pub mod error;
pub mod flush;
pub mod iommu;
pub mod lock;
#[cfg(all(test, loom))]
mod loom_tests;
mod mailbox;
mod nmi;
pub mod notifier;
pub mod platform;
#[cfg(test)]
#[path = "../tests/support/property.rs"]
mod property;
pub mod report;
pub mod secondary;
pub mod shootdown;
pub mod space;
mod space_id;
pub mod stats;
mod sync;
pub mod ticket;
mod ticket_lock;

pub use attachment::MAX_SECONDARIES;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
