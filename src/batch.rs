//! Deferred shootdown: changes that are gathered first and flushed together.
//!
//! [`Gather`] is for one operation on one address space: an unmap, the end of a process. It flushes once for all that the operation
//! has taken out of the tables, and frees nothing before.
//!
//! [`Reclaim`] gathers changes of many address spaces: memory is taken back from whoever has it, page by page, and nobody is
//! told of it until the pages are needed. One flush then costs one store barrier, one completion, one round of interrupts and one
//! submission to each secondary TLB, whatever the number of pages and spaces.
//!
//! Both flush within a call, or start their flush and leave the wait to a task ([`Flushing`]).
//!
//! # The window
//! Between the store to a page table and the flush the entry is gone from the table and still in the TLBs. Whoever finds it gone must not
//! take that for flushed: an operation that would skip its flush because nothing is mapped, or that maps something new at such an
//! address, calls [`flush_pending`](crate::shootdown::Shootdown::flush_pending) first, under the same page-table lock. A write of a dirty page to
//! its backing store begins after [`Reclaim::flush_before_io`]: until then a CPU may go on writing to it. The memory itself is given to
//! the batch ([`Reclaim::held`]), which releases it when everybody has answered.

mod devices;
mod flushing;
mod gather;
mod reclaim;
mod round;
mod start;

pub use flushing::Flushing;
pub use gather::{Finishing, Gather, GatherError};
pub use reclaim::{AddError, Reclaim};
