//! The SMMUv3 driver against a small scripted device that decodes the queue by constants of its own.

mod answers;
mod attaching;
mod bringing_up;
mod capacity;
mod carried;
mod encoding;
mod errors;
mod fake;
mod features;
mod flushing;
mod full_ring;
mod many_cpus;
#[path = "../support/regions.rs"]
mod regions;
mod releasing;
#[path = "../support/ring_lock.rs"]
mod ring_lock;
#[path = "../support/shoot.rs"]
mod shoot;
#[path = "../support/until.rs"]
mod until;
mod variants;
