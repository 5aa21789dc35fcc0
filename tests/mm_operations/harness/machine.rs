//! What the harness wants to know of an architecture.

use super::column::{Beside, Column};
use super::format::Format;
use std::fmt::Debug;
use tlb_shootdown::arch::Arch;
use tlb_shootdown::change::{Level, Needed};
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::cpu::CpuPort;
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

pub(crate) type Platform<M> = ModelPlatform<<M as Machine>::Arch>;
pub(crate) type Engine<M> = Shootdown<Platform<M>, 1>;
pub(crate) type Space<M> = AddressSpace<<M as Machine>::Arch, 1>;

/// Every machine has four CPUs: this one, another one, a lazy one, and one that runs something else.
pub(crate) const CPUS: usize = 4;

/// One architecture.
pub(crate) trait Machine: 'static {
    type Arch: Arch + 'static;
    /// What its CPUs are.
    type Cpu: Copy + Debug;

    /// What its CPUs walk.
    const FORMAT: Format;
    /// Where the kernel's half has room.
    const KERNEL: u64;
    /// Which of the figures for AArch64, x86-64 and POWER are its own.
    const INDEX: usize;

    /// Its kinds of CPUs, with what there is of the column beside them. Costs are those of the first.
    fn kinds(column: Column) -> Vec<(Self::Cpu, Beside)>;

    fn model(cpu: Self::Cpu, temper: Temper) -> Model;

    fn arch(model: &Model, cpu: Self::Cpu) -> Self::Arch;

    /// Every CPU is online.
    fn all_online(arch: &Self::Arch) {
        let _ = arch;
    }

    /// CPUs give a space an identifier in common only once it is flushed on many.
    fn shares_ids_when_busy(cpu: Self::Cpu) -> bool {
        let _ = cpu;
        false
    }

    /// The identifier under which CPUs and devices share a space.
    fn shared_id(arch: &Self::Arch, space: &Space<Self>) -> u32
    where
        Self: Sized;

    /// What has to be done about a change of one entry, by value.
    fn needed(old: u64, new: u64, level: Level) -> Needed;

    fn enter_lazy(cpu: &CpuPort) {
        cpu.enter_lazy();
    }

    /// Makes every store visible to every walker, as for an entry that becomes valid.
    fn publish(model: &Model) {
        ModelBarriers::new(model.clone()).publish_tables();
    }
}
