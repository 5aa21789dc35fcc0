//! CPUs that take interrupts all the while, as the suite drives them.

use crate::kernel::cpus;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown_model::conformance::Cpus;

pub(crate) struct Work;

impl Cpus for Work {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        cpus::run_on(cpu.index(), work);
    }

    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        cpus::run_everywhere(|_| work());
        true
    }
}
