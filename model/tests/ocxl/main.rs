//! The OpenCAPI link: each rule with the defect that shows when it is broken. Registers and elements are written by hand.

mod elements;
mod launching;
mod lost;
mod nest_mmu;
mod rig;
mod terminating;
