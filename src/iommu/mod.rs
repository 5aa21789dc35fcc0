//! The IOMMUs that this crate can drive, each an implementor of [`SecondaryTlb`](crate::secondary::SecondaryTlb).

pub mod amd;
mod device_bit;
pub(crate) mod memory;
mod pending;
pub(crate) mod ring;
pub mod smmuv3;
mod spaces;
pub mod vtd;
mod wait;
