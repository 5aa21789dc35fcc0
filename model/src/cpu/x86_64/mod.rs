//! The CPUs of an x86-64 machine: TLBs tagged by PCID, and only INVLPGB in flight.
//!
//! What the manuals leave open is decided against the library: an invalidation removes what it is bound to remove and no more,
//! INVLPGB overtakes stores, entries under PCIDs that are not loaded stay for ever, and a fault is taken from a cached entry.

mod execute;
mod instructions;
mod operand;
mod port;
mod state;

pub use instructions::ModelInstructions;
pub use state::CpuFeatures;
pub(super) use state::State;
