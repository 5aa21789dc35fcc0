//! What one kind of machine is made of.

use crate::broken::Broken;
use tlb_shootdown::arch::{Arch, HardwareId};
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::platform::ModelPlatform;
use tlb_shootdown_scenarios::{Access, Yardstick};

/// The platform of a family.
pub(crate) type Platform<F> = ModelPlatform<<F as Family>::Arch>;

/// An architecture with an IOMMU.
pub(crate) trait Family: 'static {
    type Arch: Arch + 'static;
    type Iommu: Iommu;

    /// What holds of it.
    const YARDSTICK: &'static Yardstick;

    /// A machine with so many CPUs.
    fn model(cpus: usize) -> Model;

    /// The library's side of its CPUs.
    fn arch(model: &Model) -> Self::Arch;

    /// Every CPU has joined.
    fn seal(arch: &Self::Arch);

    /// An empty page table.
    fn tables(model: &Model) -> Tables;

    /// The IOMMU brought up, its device translated, and no address space attached.
    fn iommu(platform: &'static Platform<Self>) -> Result<Self::Iommu, Broken>;
}

/// The library's driver of one IOMMU, with one device.
pub(crate) trait Iommu {
    fn driver(&self) -> &'static dyn SecondaryTlb;

    /// Takes a place for the table at `root`, whose entries the CPUs tag with `id`, and which the device does not walk yet.
    fn reserve(&self, root: u64, id: HardwareId) -> Result<AttachKey, Broken>;

    /// Lets the device walk that table.
    fn install(&self, key: AttachKey) -> Result<(), Broken>;

    /// Takes the table away from the device again.
    fn detach(&self, key: AttachKey) -> Result<(), Broken>;

    fn read(&self, va: u64) -> Access;

    fn write(&self, va: u64, word: u64) -> Access;
}

/// How many turns a driver may wait for its IOMMU.
const PATIENCE: u32 = 10_000;

/// The clock that drivers wait by.
pub(crate) fn patience<A: Arch>(
    platform: &'static ModelPlatform<A>,
) -> impl FnMut() -> bool + use<A> {
    let mut turns = 0;
    move || {
        platform.relax();
        turns += 1;
        turns < PATIENCE
    }
}
