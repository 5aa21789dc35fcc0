//! AArch64 and SMMUv3.

mod smmu;

use crate::broken::Broken;
use crate::family::{Family, Platform};
use crate::machine::proof::{Kind, Proof, prove};
use crate::{Played, play};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Aarch64, Config};
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::{Model, Temper};
use tlb_shootdown_scenarios::Yardstick;

/// What holds of the machine.
pub const YARDSTICK: &Yardstick = &Yardstick::AARCH64_SMMUV3_MODEL;

/// Plays every case to every observer, in the order of the table.
///
/// # Errors
/// See [`Played`].
pub fn cells() -> Played {
    play::<Machine>()
}

/// Proves the ports with the conformance suite.
///
/// # Errors
/// [`Broken`].
pub fn proof() -> Result<Proof, Broken> {
    prove::<Machine>(&Kind {
        kernel: 0xffff_8000_0000_0000,
        shares: true,
        borrows: false,
    })
}

struct Machine;

impl Family for Machine {
    type Arch = Aarch64<ModelInstructions, 1>;
    type Iommu = smmu::Iommu<Self::Arch>;

    const YARDSTICK: &'static Yardstick = YARDSTICK;

    fn model(cpus: usize) -> Model {
        Model::new(cpus, Temper::Late)
    }

    fn arch(model: &Model) -> Self::Arch {
        let config = Config::new(Granule::Kib4).wide_asids();
        Aarch64::new(ModelInstructions::new(model.clone()), config)
    }

    fn seal(arch: &Self::Arch) {
        arch.seal_features();
    }

    fn tables(model: &Model) -> Tables {
        model.tables()
    }

    fn iommu(platform: &'static Platform<Self>) -> Result<Self::Iommu, Broken> {
        smmu::Iommu::new(platform)
    }
}
