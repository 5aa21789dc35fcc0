//! TLB shootdown for kernels: CPUs and IOMMU device TLBs under one proof of completion.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

pub mod address;
pub mod arch;
mod attachment;
pub mod cost;
pub mod cpu_set;
pub mod dma;
pub mod error;
pub mod flush;
pub mod iommu;
pub mod lock;
mod mailbox;
pub mod notifier;
pub mod platform;
pub mod report;
pub mod secondary;
pub mod shootdown;
pub mod space;
pub mod stats;
mod sync;
pub mod ticket;

pub use attachment::MAX_SECONDARIES;
