//! The CPUs: TLBs tagged by ASID, walk caches, store buffers, and invalidations that are in flight until a barrier.

mod access;
mod dirty;
mod instructions;
mod maintenance;
pub(crate) mod operand;
mod port;
pub mod powerpc;
mod reuse;
mod speculation;
mod state;
pub mod x86_64;

pub use access::Fault;
pub use instructions::ModelInstructions;
pub use port::CpuPort;
pub use state::CpuFeatures;
pub(crate) use state::{Cpu, Domain};
