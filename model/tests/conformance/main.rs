//! The conformance suite: it passes what keeps its contract, and fails what does not, with the very sentence that was broken.

mod arch;
mod defective;
mod mapped;
mod pages;
mod platform;
mod played;
mod secondary;
mod software;
mod threads;
mod whole;
