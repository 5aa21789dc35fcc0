//! The CPUs of a POWER machine with radix translation: TLBs and page-walk caches tagged by PID, an ERAT in front, and everything in
//! flight until the barriers that the manual names.
//!
//! What the manual leaves open is decided against the library: an entry goes only by an operand that names its size exactly,
//! `tlbiel` leaves the ERAT where it is not by address, invalidations overtake stores, and a page-walk cache outlives whatever is not
//! bound to drop it. The two defects of POWER9's `tlbie` are options.

mod execute;
mod flight;
mod hypervisor;
mod instructions;
mod operand;
mod port;
mod state;
mod store_queue;

pub use hypervisor::ModelHypervisor;
pub use instructions::ModelInstructions;
pub(super) use state::State;
pub use state::{CpuFeatures, Level, Role};
