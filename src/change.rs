//! From a change of page tables to the flush that it needs.
//!
//! A kernel says *what changed*, in one of two ways, and this module says what has to be done about it:
//!
//! * By name: a [`Reason`]. [`Decision::on_any_machine`] is the rule that holds everywhere; each architecture has a `decide` that
//!   knows where its own is cheaper: [AArch64](crate::arch::aarch64::change::decide), [POWER](crate::arch::powerpc::change::decide),
//!   [x86-64](crate::arch::x86_64::change::decide). The engine's own is asked through [`Arch::decide`](crate::arch::Arch::decide).
//! * By value: the old and the new entry. The architecture's `needed` compares them bit by bit and gives a [`Needed`]:
//!   [AArch64](crate::arch::aarch64::change::needed), [POWER](crate::arch::powerpc::change::needed),
//!   [x86-64](crate::arch::x86_64::change::needed).
//!
//! A [`Decision`] names the call to make, whom it reaches, how deep, until when it may be put off, and whether the entry has to be
//! invalid in between. All of it is pure: nothing is flushed here, and every function may be called in any context.
//!
//! ```
//! use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
//! use tlb_shootdown::arch::x86_64::change::decide;
//! use tlb_shootdown::change::{Call, PutOff, Reason};
//!
//! let decision = decide(Reason::Unmap);
//! assert_eq!(decision.call(), Call::Flush);
//! assert_eq!(decision.put_off(), PutOff::UntilReuse);
//!
//! let page = PageRange::page(VirtAddr::new(0x5000), PageSize::KIB_4);
//! let flush = decision.flush(page, Some(PageSize::KIB_4));
//! assert_eq!(flush.known_leaf_size(), Some(PageSize::KIB_4));
//! ```

mod decision;
mod needed;
mod reason;
mod replace;
mod rule;

pub use decision::{Call, Cpus, Decision, PutOff, Told};
pub use needed::{Level, Needed};
pub use reason::Reason;
pub use replace::ReplaceStep;
