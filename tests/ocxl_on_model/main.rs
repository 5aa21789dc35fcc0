//! The OpenCAPI driver on the adversarial machine, through the engine: a link that is told or that snoops, POWER9 and POWER10, judged by
//! an oracle that reports every stale entry that is used or held after its flush has returned.

mod accelerators;
mod ending;
mod exploration;
#[path = "../support/explored_kernel/mod.rs"]
mod explored_kernel;
#[path = "../powerpc_on_model/faulty.rs"]
#[allow(dead_code, reason = "the machine's CPUs are without defect here")]
mod faulty;
mod flushing;
mod installing;
mod linked;
#[path = "../powerpc_on_model/own.rs"]
#[allow(dead_code, reason = "kernels here are others")]
mod own;
mod properties;
#[path = "../support/random_kernel/mod.rs"]
mod random_kernel;
#[path = "../powerpc_on_model/rig.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod rig;
mod widening;
