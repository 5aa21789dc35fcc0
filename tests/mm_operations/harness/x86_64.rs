//! x86-64.

use super::column::{Beside, Column};
use super::format::Format;
use super::machine::{CPUS, Machine, Space};
use tlb_shootdown::arch::x86_64::{self, Config, change};
use tlb_shootdown::change::{Level, Needed};
use tlb_shootdown_model::cpu::x86_64::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::{Model, Temper};

pub(crate) struct X86_64;

impl Machine for X86_64 {
    type Arch = x86_64::X86_64<ModelInstructions, 1>;
    type Cpu = CpuFeatures;

    const FORMAT: Format = Format::X86;
    const KERNEL: u64 = 0xffff_8000_4000_0000;
    const INDEX: usize = 1;

    fn kinds(column: Column) -> Vec<(CpuFeatures, Beside)> {
        let kinds = [CpuFeatures::PLAIN, CpuFeatures::BROADCASTS];
        let beside = Beside::of(column);
        let beside = move |cpu| beside.clone().into_iter().map(move |beside| (cpu, beside));
        kinds.into_iter().flat_map(beside).collect()
    }

    fn model(cpu: CpuFeatures, temper: Temper) -> Model {
        Model::with_x86_cpus(&[cpu; CPUS], temper)
    }

    fn arch(model: &Model, _: CpuFeatures) -> Self::Arch {
        Self::Arch::new(ModelInstructions::new(model.clone()), Config::new())
    }

    fn all_online(arch: &Self::Arch) {
        arch.seal_features();
    }

    fn shares_ids_when_busy(cpu: CpuFeatures) -> bool {
        cpu.invlpgb.is_some()
    }

    fn shared_id(_: &Self::Arch, _: &Space<Self>) -> u32 {
        unreachable!("no device tags entries with a PCID")
    }

    fn needed(old: u64, new: u64, level: Level) -> Needed {
        change::needed(old, new, level)
    }
}
