//! The IOMMUs that this crate can drive, each an implementor of [`SecondaryTlb`](crate::secondary::SecondaryTlb).

pub mod amd;
pub(crate) mod memory;
pub(crate) mod ring;
pub mod smmuv3;
pub mod vtd;
