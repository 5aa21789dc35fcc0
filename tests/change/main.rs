//! From what changed to the flush: by name on three architectures, and what the engine then does.

#[path = "../support/mod.rs"]
mod support;

mod carried_out;
mod operations;
mod replacing;
mod rules;
mod shown;
