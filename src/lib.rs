//! TLB shootdown for kernels: CPUs and IOMMU device TLBs under one proof of completion.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

pub mod address;
pub mod arch;
pub mod cost;
pub mod cpu_set;
pub mod dma;
pub mod flush;
pub mod iommu;
pub mod lock;
pub mod platform;
pub mod secondary;
mod sync;
