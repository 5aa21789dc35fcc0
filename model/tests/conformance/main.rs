//! The conformance suite: it passes what keeps its contract, and fails what does not, with the very sentence that was broken.

mod platform;
mod played;
mod threads;
