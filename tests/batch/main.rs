//! Deferred shootdown: what a gather and a batch over many spaces issue, what they hold, and what may not overtake them.

mod costs;
mod flushing;
mod gathering;
mod holding;
mod rounds;
#[path = "../support/mod.rs"]
mod support;
mod window;
