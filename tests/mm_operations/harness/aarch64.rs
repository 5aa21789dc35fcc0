//! AArch64.

use super::column::{Beside, Column};
use super::format::Format;
use super::machine::{CPUS, Machine, Space};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{self, Config, change};
use tlb_shootdown::change::{Level, Needed};
use tlb_shootdown_model::cpu::{CpuFeatures, CpuPort, ModelInstructions};
use tlb_shootdown_model::{Model, Temper};

pub(crate) struct Aarch64;

impl Machine for Aarch64 {
    type Arch = aarch64::Aarch64<ModelInstructions, 1>;
    type Cpu = CpuFeatures;

    const FORMAT: Format = Format::Vmsa;
    const KERNEL: u64 = 0xffff_8000_4000_0000;
    const INDEX: usize = 0;

    fn kinds(column: Column) -> Vec<(CpuFeatures, Beside)> {
        let mut beside = Beside::of(column);
        if column == Column::Smmuv3 {
            beside.push(Beside::SnoopingSmmu);
        }
        let usual = CpuFeatures::default();
        beside.into_iter().map(|beside| (usual, beside)).collect()
    }

    fn model(cpu: CpuFeatures, temper: Temper) -> Model {
        Model::with_cpus(&[cpu; CPUS], temper)
    }

    fn arch(model: &Model, _: CpuFeatures) -> Self::Arch {
        let config = Config::new(Granule::Kib4).wide_asids();
        Self::Arch::new(ModelInstructions::new(model.clone()), config)
    }

    fn all_online(arch: &Self::Arch) {
        arch.seal_features();
    }

    /// Pinned, as a device wants it.
    fn shared_id(arch: &Self::Arch, space: &Space<Self>) -> u32 {
        arch.pin(space.hardware()).unwrap().0 as u16 as u32
    }

    fn needed(old: u64, new: u64, level: Level) -> Needed {
        change::needed(old, new, level, 0)
    }

    /// These CPUs keep no account of whom their root is for.
    fn enter_lazy(_: &CpuPort) {}
}
