//! What a machine can show and what an invalidation must cost on it.

use crate::script::{RANGE_PAGES, SCATTERED_PAGES};
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
    /// Who looks on it, in the order of the table: without a device that shares page tables, the CPUs alone.
    pub observers: &'static [Observer],
    /// The fixed list of controls that the machine cannot show.
    pub unseen: &'static [Unseen],
    /// Whether its IOMMU may refuse an access without recording why.
    pub silent: bool,
    /// What the crate's invalidation costs; with [`Observer::Device`], one device behind one IOMMU is attached.
    cost: fn(Case, Observer) -> Cost,
}

/// Pages that are flushed one by one, of the space under test: scattered ones, however they are deferred.
const fn single_pages(case: Case) -> u32 {
    match case {
        Case::Gather | Case::Reclaim => SCATTERED_PAGES,
        _ => 1,
    }
}

/// Pages of its neighbour, which a batch flushes with the others.
const fn neighbours_pages(case: Case) -> u32 {
    match case {
        Case::Reclaim => SCATTERED_PAGES,
        _ => 0,
    }
}

/// One TLBI between its two barriers: by address, by range, or by ASID for the whole space; FEAT_TLBIRANGE, no KPTI, no
/// repeat erratum. For a device one command (TLBI_NH_VA, for the whole space TLBI_NH_ASID), one CMD_SYNC and one doorbell. However many
/// pages are deferred, and of however many spaces: the barriers, CMD_SYNC and doorbell are the same.
fn aarch64_smmuv3(case: Case, observer: Observer) -> Cost {
    let iommu = if observer == Observer::Device { 1 } else { 0 };
    let pages = single_pages(case);
    Cost {
        store_barriers: 1,
        invalidations: pages + neighbours_pages(case),
        completion_barriers: 1,
        commands: pages * iommu,
        syncs: iommu,
        doorbells: iommu,
        queue_barriers: iommu,
        ..Cost::ZERO
    }
}

/// Pages of an invalidation that has no form for ranges.
const fn pages(case: Case) -> u32 {
    match case {
        Case::Range => RANGE_PAGES,
        _ => single_pages(case),
    }
}

/// One INVLPG for each page or one load of CR3, and one interrupt for another CPU that runs the space. INVLPG is its own
/// completion barrier. A neighbour that no CPU has loaded catches up when it is switched to.
fn x86_64(case: Case, observer: Observer) -> Cost {
    Cost {
        store_barriers: 1,
        invalidations: pages(case),
        ipis: if observer == Observer::OtherCpu { 1 } else { 0 },
        ..Cost::ZERO
    }
}

/// For a device one command, one wait and one doorbell: a range that is not aligned to its size is rounded up, at most to
/// twice as much.
fn x86_64_with_iommu(case: Case, observer: Observer) -> Cost {
    let iommu = if observer == Observer::Device { 1 } else { 0 };
    Cost {
        commands: single_pages(case) * iommu,
        syncs: iommu,
        doorbells: iommu,
        queue_barriers: iommu,
        ..x86_64(case, observer)
    }
}

/// One instruction for each page, or for the PID: TLBIEL where this CPU alone runs the process, TLBIE and TLBSYNC otherwise. PTESYNC
/// before and after.
fn power10(case: Case, _: Observer) -> Cost {
    Cost {
        store_barriers: 1,
        invalidations: pages(case) + neighbours_pages(case),
        completion_barriers: 1,
        ..Cost::ZERO
    }
}

/// POWER9's TLB drops a PID set by set. Both defects of its TLBIE are mended by one more PTESYNC each, and one more TLBIE for all of them
/// and for each process. The neighbour stays with this CPU where no other has run it, and is completed by itself.
fn power9(case: Case, observer: Observer) -> Cost {
    const SETS: u32 = 128;
    let plain = power10(case, observer);
    let neighbours = neighbours_pages(case);
    let (broadcast, local) = match observer {
        Observer::ThisCpu if case == Case::Space => {
            return Cost {
                invalidations: SETS,
                ..plain
            };
        }
        Observer::ThisCpu => return plain,
        Observer::OtherCpu => (1 + u32::from(neighbours > 0), 0),
        Observer::Device => (1, neighbours),
    };
    Cost {
        invalidations: plain.invalidations + 1 + broadcast,
        completion_barriers: 3 + u32::from(local > 0),
        ..plain
    }
}

/// For a device one launch for each page of its process, or for the process.
fn power10_with_atsd(case: Case, observer: Observer) -> Cost {
    let cpus = power10(case, observer);
    let launches = match observer {
        Observer::Device => pages(case),
        Observer::ThisCpu | Observer::OtherCpu => 0,
    };
    Cost {
        commands: launches,
        doorbells: launches,
        queue_barriers: launches,
        ..cpus
    }
}

/// QEMU's CPUs walk again before they report a permission fault; the model's do not.
const fn unseen_by_tcg(this_cpu: &'static str, other_cpu: &'static str) -> [Unseen; 2] {
    [
        Unseen {
            case: Case::Upgrade,
            observer: Observer::ThisCpu,
            shown_by: this_cpu,
        },
        Unseen {
            case: Case::Upgrade,
            observer: Observer::OtherCpu,
            shown_by: other_cpu,
        },
    ]
}

const UNSEEN_ON_AARCH64: &[Unseen] = &unseen_by_tcg(
    "promise_09_upgrade_left_out_faults_on_this_cpu",
    "promise_09_upgrade_left_out_faults_on_another_cpu",
);

const UNSEEN_ON_X86_64: &[Unseen] = &unseen_by_tcg(
    "promise_09_x86_64_upgrade_left_out_faults_on_this_cpu",
    "promise_09_x86_64_upgrade_left_out_faults_on_another_cpu",
);

const UNSEEN_ON_POWER: &[Unseen] = &unseen_by_tcg(
    "promise_09_powerpc_upgrade_left_out_faults_once_on_either_cpu",
    "promise_09_powerpc_upgrade_left_out_faults_once_on_either_cpu",
);

impl Yardstick {
    /// AArch64 and SMMUv3 under QEMU's TCG.
    pub const AARCH64_SMMUV3_QEMU: Self = Self {
        unseen: UNSEEN_ON_AARCH64,
        ..Self::AARCH64_SMMUV3_MODEL
    };

    /// AArch64 and SMMUv3 on the software model, which hides nothing.
    pub const AARCH64_SMMUV3_MODEL: Self = Self {
        observers: &Observer::ALL,
        unseen: &[],
        silent: false,
        cost: aarch64_smmuv3,
    };

    /// x86-64 without an IOMMU under QEMU's TCG.
    pub const X86_64_QEMU: Self = Self {
        observers: Observer::CPUS,
        unseen: UNSEEN_ON_X86_64,
        silent: false,
        cost: x86_64,
    };

    /// x86-64 and VT-d under QEMU's TCG. What an entry in the IOTLB does not allow is dropped without a record.
    pub const X86_64_VTD_QEMU: Self = Self {
        observers: &Observer::ALL,
        unseen: UNSEEN_ON_X86_64,
        silent: true,
        cost: x86_64_with_iommu,
    };

    /// x86-64 and the AMD IOMMU under QEMU's TCG, whose records of faults do not say whether there was an entry.
    pub const X86_64_AMD_QEMU: Self = Self {
        observers: &Observer::ALL,
        unseen: UNSEEN_ON_X86_64,
        silent: true,
        cost: x86_64_with_iommu,
    };

    /// x86-64 and VT-d on the software model, which hides nothing.
    pub const X86_64_VTD_MODEL: Self = Self {
        observers: &Observer::ALL,
        unseen: &[],
        silent: false,
        cost: x86_64_with_iommu,
    };

    /// x86-64 and an AMD IOMMU with PASIDs on the software model, which hides nothing.
    pub const X86_64_AMD_MODEL: Self = Self {
        observers: &Observer::ALL,
        unseen: &[],
        silent: false,
        cost: x86_64_with_iommu,
    };

    /// POWER9 under QEMU's TCG, where no accelerator shares page tables.
    pub const POWER9_QEMU: Self = Self {
        cost: power9,
        ..Self::POWER10_QEMU
    };

    /// POWER10 under QEMU's TCG, where no accelerator shares page tables.
    pub const POWER10_QEMU: Self = Self {
        observers: Observer::CPUS,
        unseen: UNSEEN_ON_POWER,
        silent: false,
        cost: power10,
    };

    /// POWER9 and an OpenCAPI link that snoops on the software model, which hides nothing.
    pub const POWER9_SNOOPING_MODEL: Self = Self {
        observers: &Observer::ALL,
        unseen: &[],
        silent: false,
        cost: power9,
    };

    /// POWER10 and an OpenCAPI link with ATSD registers on the software model. Its nest MMU walks again for a right that it lacks: there is
    /// nothing to be seen of an upgrade.
    pub const POWER10_ATSD_MODEL: Self = Self {
        unseen: &[Unseen {
            case: Case::Upgrade,
            observer: Observer::Device,
            shown_by: "promise_09_an_upgrade_left_out_faults_where_the_nest_mmu_believes_what_it_holds",
        }],
        cost: power10_with_atsd,
        ..Self::POWER9_SNOOPING_MODEL
    };

    /// A guest on POWER10 on the software model, which hides nothing.
    pub const POWER10_GUEST_MODEL: Self = Self {
        observers: Observer::CPUS,
        cost: power10,
        ..Self::POWER9_SNOOPING_MODEL
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
    pub fn cost(&self, case: Case, observer: Observer) -> Cost {
        (self.cost)(case, observer)
    }
}
