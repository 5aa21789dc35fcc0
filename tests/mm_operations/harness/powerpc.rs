//! POWER.

use super::column::{Beside, Column};
use super::format::Format;
use super::machine::{CPUS, Machine, Space};
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown::arch::powerpc::{Config, PowerPc, change};
use tlb_shootdown::change::{Level, Needed};
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::ocxl::LinkOptions;
use tlb_shootdown_model::{Model, Temper};

pub(crate) struct Power;

impl Machine for Power {
    type Arch = PowerPc<ModelInstructions, 1>;
    type Cpu = CpuFeatures;

    const FORMAT: Format = Format::Radix;
    /// Quadrant 3.
    const KERNEL: u64 = 0xc000_0000_4000_0000;
    const INDEX: usize = 2;

    /// A link is of its CPUs' generation.
    fn kinds(column: Column) -> Vec<(CpuFeatures, Beside)> {
        let (power9, power10) = (CpuFeatures::POWER9, CpuFeatures::POWER10);
        if column == Column::Ocxl {
            return vec![
                (power9, Beside::Link(LinkOptions::POWER9)),
                (power9, Beside::Link(LinkOptions::POWER9.snooping())),
                (power10, Beside::Link(LinkOptions::POWER10)),
                (power10, Beside::Link(LinkOptions::POWER10.snooping())),
            ];
        }
        let beside = Beside::of(column);
        let beside = move |cpu| beside.clone().into_iter().map(move |beside| (cpu, beside));
        [power9, power10].into_iter().flat_map(beside).collect()
    }

    fn model(cpu: CpuFeatures, temper: Temper) -> Model {
        Model::with_power_cpus(&[cpu; CPUS], temper)
    }

    fn arch(model: &Model, _: CpuFeatures) -> Self::Arch {
        Self::Arch::new(ModelInstructions::new(model.clone()), Config::hypervisor())
    }

    fn shared_id(arch: &Self::Arch, space: &Space<Self>) -> u32 {
        let id = arch.hardware_id(space.hardware());
        id.expect("it has run").0 as u32
    }

    /// Memory holds entries big-endian.
    fn needed(old: u64, new: u64, level: Level) -> Needed {
        change::needed(u64::from_be(old), u64::from_be(new), level)
    }

    fn publish(model: &Model) {
        ModelInstructions::new(model.clone()).ptesync();
    }
}
