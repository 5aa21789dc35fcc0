//! What CPUs are told, on recorders.

pub mod aarch64;
mod kernel;
pub mod powerpc;
pub mod x86_64;
