//! Every run of small POWER machines with an accelerator behind a link that is told, or that hears the CPUs' broadcasts.

use crate::accelerators::Accelerators;
use crate::explored_kernel::{Booted, every_run};
use crate::linked::kinds;
use crate::rig::{Parts, Rig};
use tlb_shootdown_model::Temper;

fn linked(kind: usize) -> Booted<Rig> {
    let (features, options) = kinds()[kind];
    let rig = Rig::new(Parts {
        patience: 1,
        ..Parts::new(features, Temper::Explored)
    });
    let devices = Accelerators::new(&rig, options);
    (rig, Some(Box::new(devices)))
}

every_run! {
    /// The nest MMU does not follow rights that are widened in place.
    power9 [3, 1]: linked(0);
    power10 [2, 1]: linked(2);
    snooping_power10 [3, 1]: linked(3);
}
