//! Every run of small POWER machines: flushes that stay on a CPU or reach all, and a CPU that was left is asked to let go of the process.

use crate::explored_kernel::{Booted, every_run};
use crate::rig::{Parts, Rig};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, Role};

/// The first broadcast that finds nobody else asks.
fn alone(features: CpuFeatures) -> Booted<Rig> {
    let rig = Rig::new(Parts {
        patience: 1,
        ..Parts::new(features, Temper::Explored)
    });
    (rig, None)
}

every_run! {
    /// With what mends its defects.
    power9 [3, 2]: alone(CpuFeatures::POWER9);
    power10 [4, 2]: alone(CpuFeatures::POWER10);
    /// Whose hypervisor invalidates for it.
    guest [3, 2]: alone(CpuFeatures::POWER10.as_a(Role::GuestWithoutTlbie));
}
