//! The POWER CPUs: each rule of the architecture with the defect that shows when it is broken. Operands are literals.

mod defects;
mod forms;
mod hypervisor;
mod ordering;
mod reach;
mod rig;
