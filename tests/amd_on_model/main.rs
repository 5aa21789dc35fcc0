//! The AMD IOMMU driver, under the engine, on the adversarial machine: lazy, out of order but for completed waits, decoded by constants of
//! its own, judged by an oracle that reports every stale entry that is used or held after its flush has returned.

mod churn;
mod costs;
mod errors;
mod flushing;
mod rig;
