//! The VT-d driver against a small scripted unit that decodes the queue by constants of its own.

mod attaching;
mod beside;
mod bringing_up;
mod encoding;
mod errors;
mod fake;
mod features;
mod flushing;
mod full_ring;
mod legacy;
mod naming;
#[path = "../support/regions.rs"]
mod regions;
mod releasing;
mod ring;
#[path = "../support/ring_lock.rs"]
mod ring_lock;
mod room;
mod widening;
