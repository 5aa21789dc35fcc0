//! POWER with radix translation (ISA 3.0 and later): `tlbie` reaches every CPU, `tlbiel` this one.

mod config;
pub mod hypervisor;
pub mod instructions;
mod isa;

pub use config::Config;
pub use isa::Isa;
