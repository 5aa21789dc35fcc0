//! TLB shootdown for kernels.
#![no_std]
