//! x86-64 on the model: engine, mailboxes, generations and INVLPGB, judged by the oracle.

mod amd;
mod exploration;
#[path = "../support/explored_kernel/mod.rs"]
mod explored_kernel;
mod faulty;
mod own;
mod properties;
#[path = "../support/random_kernel/mod.rs"]
mod random_kernel;
mod rig;
mod sharing;
mod spaces;
mod upgrade;
mod vtd;
