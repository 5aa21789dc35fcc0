//! The AMD IOMMU driver against a small scripted device that decodes the buffer by constants of its own.

mod bringing_up;
mod encoding;
mod fake;
mod flushing;
mod releasing;
