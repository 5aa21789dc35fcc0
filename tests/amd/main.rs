//! The AMD IOMMU driver against a small scripted device that decodes the buffer by constants of its own.

mod attaching;
mod bringing_up;
mod capacity;
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
mod stages;
#[path = "../support/until.rs"]
mod until;
