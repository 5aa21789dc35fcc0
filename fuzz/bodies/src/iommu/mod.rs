//! What IOMMUs are told through their queues, and what becomes of it when the device on the other side does as it likes.

pub mod amd;
mod arena;
mod bench;
pub mod ocxl;
mod port;
mod registers;
pub mod smmuv3;
pub mod vtd;
