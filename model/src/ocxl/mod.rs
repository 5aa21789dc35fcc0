//! An OpenCAPI link of a POWER machine, with the nest MMU that translates for it and the accelerators behind it.
//!
//! The nest MMU either hears the CPUs' `tlbie` or is commanded through the link's ATSD registers, which are big-endian and work on polls
//! and steps alone. Of a process element, what was read once is used until firmware clears it; an element that is not there stops the
//! machine. What POWER9's nest MMU does differently from the manual is an option.

mod accelerator;
mod access;
mod element;
mod host;
mod launch;
mod link;
mod nest_mmu;
mod options;
mod port;
mod registers;

pub use access::DeviceFault;
pub use host::ModelHost;
pub(crate) use link::Link;
pub use options::LinkOptions;
pub use port::{DevicePort, LinkPort};
