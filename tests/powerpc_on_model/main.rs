//! POWER on the model: engine, `tlbie`, `tlbiel`, defects and hypervisor calls, judged by the oracle.

mod defects;
mod faulty;
mod kernel;
mod op;
mod pages;
mod properties;
mod rig;
mod spaces;
mod upgrade;
