//! The OpenCAPI driver against a small scripted nest MMU that decodes the registers by constants of its own.

#[path = "../support/atsd.rs"]
mod atsd;
mod attaching;
mod crowded;
mod encoding;
mod errors;
mod fake;
mod flushing;
mod many_cpus;
#[path = "../support/regions.rs"]
mod regions;
mod releasing;
#[path = "../support/ring_lock.rs"]
mod ring_lock;
#[path = "../support/mod.rs"]
mod support;
mod through_the_engine;
#[path = "../support/until.rs"]
mod until;
