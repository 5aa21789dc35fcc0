//! This kernel's `Platform`, and the library's x86-64 on it, before the conformance suite.
#![no_std]
#![no_main]

use kernel::cpus;
use on_target_x86_64 as kernel;
use proof::Kernel;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown_model::conformance::Cpus;

#[path = "../../proof/mod.rs"]
mod proof;

/// They take interrupts all the while.
impl Cpus for Kernel {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        cpus::run_on(cpu.index(), work);
    }

    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        cpus::run_everywhere(|_| work());
        true
    }
}

#[embedded_test::tests]
mod tests {
    use crate::proof;

    #[test]
    fn the_platform_keeps_its_contract() {
        proof::the_platform_keeps_its_contract();
    }

    #[test]
    fn every_way_of_flushing_reaches_every_cpu() {
        proof::every_way_of_flushing_reaches_every_cpu();
    }
}
