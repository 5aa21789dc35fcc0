//! An adversarial software machine for tests of TLB shootdown.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "std")]
pub mod recorder;
