//! x86-64, behind an AMD IOMMU with PASIDs.

mod amd;

use crate::broken::Broken;
use crate::family::{Family, Platform};
use crate::{Played, play};
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown_model::cpu::x86_64::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::{Model, Temper};
use tlb_shootdown_scenarios::Yardstick;

/// What holds of the machine behind an AMD IOMMU.
pub const AMD_YARDSTICK: &Yardstick = &Yardstick::X86_64_AMD_MODEL;

/// Plays every case to every observer behind an AMD IOMMU, in the order of the table.
///
/// # Errors
/// See [`Played`].
pub fn amd_cells() -> Played {
    play::<Amd>()
}

type Arch = X86_64<ModelInstructions, 1>;

fn model(cpus: usize) -> Model {
    Model::with_x86_cpus(&vec![CpuFeatures::PLAIN; cpus], Temper::Late)
}

fn arch(model: &Model) -> Arch {
    Arch::new(ModelInstructions::new(model.clone()), Config::new())
}

struct Amd;

impl Family for Amd {
    type Arch = Arch;
    type Iommu = amd::Iommu<Arch>;

    const YARDSTICK: &'static Yardstick = AMD_YARDSTICK;

    fn model(cpus: usize) -> Model {
        model(cpus)
    }

    fn arch(model: &Model) -> Arch {
        arch(model)
    }

    fn seal(arch: &Arch) {
        arch.seal_features();
    }

    fn tables(model: &Model) -> Tables {
        model.x86_tables()
    }

    fn iommu(platform: &'static Platform<Self>) -> Result<Self::Iommu, Broken> {
        amd::Iommu::new(platform)
    }
}
