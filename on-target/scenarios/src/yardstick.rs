//! What a machine can show and what an invalidation must cost on it.

use crate::{Case, Cost, Observer};

/// A control that a machine cannot show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The case.
    pub case: Case,
    /// The observer.
    pub observer: Observer,
    /// The test on the software model that shows it instead.
    pub shown_by: &'static str,
}

/// What holds of one kind of machine.
#[derive(Debug)]
pub struct Yardstick {
    /// The fixed list of controls that the machine cannot show.
    pub unseen: &'static [Unseen],
    /// What the crate's invalidation costs when no device shares the space.
    pub cpu_cost: Cost,
    /// The same with one device behind one IOMMU attached.
    pub device_cost: Cost,
}

/// One TLBI between its two barriers: by address, by range, or by ASID for the whole space; FEAT_TLBIRANGE, no KPTI, no
/// repeat erratum.
const AARCH64_CPU: Cost = Cost {
    store_barriers: 1,
    invalidations: 1,
    completion_barriers: 1,
    ..Cost::ZERO
};

/// One command (TLBI_NH_VA, for the whole space TLBI_NH_ASID), one CMD_SYNC, one doorbell, besides the CPU's.
const AARCH64_SMMUV3: Cost = Cost {
    commands: 1,
    syncs: 1,
    doorbells: 1,
    queue_barriers: 1,
    ..AARCH64_CPU
};

impl Yardstick {
    /// AArch64 and SMMUv3 under QEMU's TCG, whose CPUs walk again before they report a permission fault.
    pub const AARCH64_SMMUV3_QEMU: Self = Self {
        unseen: &[
            Unseen {
                case: Case::Upgrade,
                observer: Observer::ThisCpu,
                shown_by: "promise_09_upgrade_left_out_faults_on_this_cpu",
            },
            Unseen {
                case: Case::Upgrade,
                observer: Observer::OtherCpu,
                shown_by: "promise_09_upgrade_left_out_faults_on_another_cpu",
            },
        ],
        ..Self::AARCH64_SMMUV3_MODEL
    };

    /// AArch64 and SMMUv3 on the software model, which hides nothing.
    pub const AARCH64_SMMUV3_MODEL: Self = Self {
        unseen: &[],
        cpu_cost: AARCH64_CPU,
        device_cost: AARCH64_SMMUV3,
    };

    /// Whether the control of `case` cannot be shown to `observer`.
    pub fn hides(&self, case: Case, observer: Observer) -> bool {
        self.shown_by(case, observer).is_some()
    }

    /// The model test that shows what this machine hides.
    pub fn shown_by(&self, case: Case, observer: Observer) -> Option<&'static str> {
        let entry = self
            .unseen
            .iter()
            .find(|entry| entry.case == case && entry.observer == observer);
        entry.map(|entry| entry.shown_by)
    }

    /// What the crate's invalidation must cost.
    pub fn cost(&self, observer: Observer) -> Cost {
        match observer {
            Observer::ThisCpu | Observer::OtherCpu => self.cpu_cost,
            Observer::Device => self.device_cost,
        }
    }
}
