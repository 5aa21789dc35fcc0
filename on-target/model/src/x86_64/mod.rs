//! x86-64, behind a VT-d unit and behind an AMD IOMMU, with PASIDs.

mod amd;
mod vtd;

use crate::broken::Broken;
use crate::family::{Family, Platform};
use crate::machine::proof::{Kind, Proof, prove};
use crate::{Played, play};
use core::marker::PhantomData;
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown_model::cpu::x86_64::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::platform::ModelPlatform;
use tlb_shootdown_model::{Model, Temper};
use tlb_shootdown_scenarios::Yardstick;

/// What holds of the machine behind a VT-d unit.
pub const VTD_YARDSTICK: &Yardstick = &Yardstick::X86_64_VTD_MODEL;
/// What holds of the machine behind an AMD IOMMU.
pub const AMD_YARDSTICK: &Yardstick = &Yardstick::X86_64_AMD_MODEL;

/// Plays every case to every observer behind a VT-d unit, in the order of the table.
///
/// # Errors
/// See [`Played`].
pub fn vtd_cells() -> Played {
    play::<Behind<vtd::Iommu<Arch>>>()
}

/// Plays every case to every observer behind an AMD IOMMU, in the order of the table.
///
/// # Errors
/// See [`Played`].
pub fn amd_cells() -> Played {
    play::<Behind<amd::Iommu<Arch>>>()
}

/// Proves the ports behind a VT-d unit with the conformance suite.
///
/// # Errors
/// [`Broken`].
pub fn vtd_proof() -> Result<Proof, Broken> {
    prove::<Behind<vtd::Iommu<Arch>>>(&Kind {
        kernel: KERNEL,
        shares: true,
        borrows: true,
    })
}

/// Proves the ports behind an AMD IOMMU with the conformance suite.
///
/// # Errors
/// [`Broken`].
pub fn amd_proof() -> Result<Proof, Broken> {
    prove::<Behind<amd::Iommu<Arch>>>(&Kind {
        kernel: KERNEL,
        shares: true,
        borrows: true,
    })
}

/// Where the kernel's half begins.
const KERNEL: u64 = 0xffff_8000_0000_0000;

type Arch = X86_64<ModelInstructions, 1>;

/// The machine with this IOMMU.
struct Behind<I>(PhantomData<I>);

/// An IOMMU of such machines.
trait OfX86: crate::family::Iommu + Sized + 'static {
    const YARDSTICK: &'static Yardstick;

    fn bring_up(platform: &'static ModelPlatform<Arch>) -> Result<Self, Broken>;
}

impl OfX86 for vtd::Iommu<Arch> {
    const YARDSTICK: &'static Yardstick = VTD_YARDSTICK;

    fn bring_up(platform: &'static ModelPlatform<Arch>) -> Result<Self, Broken> {
        Self::new(platform)
    }
}

impl OfX86 for amd::Iommu<Arch> {
    const YARDSTICK: &'static Yardstick = AMD_YARDSTICK;

    fn bring_up(platform: &'static ModelPlatform<Arch>) -> Result<Self, Broken> {
        Self::new(platform)
    }
}

impl<I: OfX86> Family for Behind<I> {
    type Arch = Arch;
    type Iommu = I;

    const YARDSTICK: &'static Yardstick = I::YARDSTICK;

    fn model(cpus: usize) -> Model {
        Model::with_x86_cpus(&vec![CpuFeatures::PLAIN; cpus], Temper::Late)
    }

    fn arch(model: &Model) -> Arch {
        Arch::new(ModelInstructions::new(model.clone()), Config::new())
    }

    fn seal(arch: &Arch) {
        arch.seal_features();
    }

    fn tables(model: &Model) -> Tables {
        model.x86_tables()
    }

    fn iommu(platform: &'static Platform<Self>) -> Result<I, Broken> {
        I::bring_up(platform)
    }
}
