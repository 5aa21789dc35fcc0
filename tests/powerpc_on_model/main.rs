//! POWER on the model: engine, `tlbie`, `tlbiel`, defects and hypervisor calls, judged by the oracle.

mod defects;
mod exploration;
#[path = "../support/explored_kernel/mod.rs"]
mod explored_kernel;
mod faulty;
mod own;
mod properties;
#[path = "../support/random_kernel/mod.rs"]
mod random_kernel;
mod rig;
mod spaces;
mod upgrade;
