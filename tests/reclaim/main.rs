//! Batches of changes of many address spaces: what they issue, what they hold, and what may not overtake them.

mod costs;
mod holding;
mod rounds;
#[path = "../support/mod.rs"]
mod support;
mod window;
