//! This kernel's `Platform`, and the library's AArch64 on it, before the conformance suite.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::platform::ENGINE;
use kernel::{clock, cpus};
use on_target_aarch64 as kernel;
use proof::Kernel;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown_model::conformance::Cpus;

#[path = "../../proof/mod.rs"]
mod proof;

/// Whoever has nothing to do looks whether it was interrupted.
fn run(is_asked: impl Fn(usize) -> bool + Sync, work: &(dyn Fn() + Sync)) {
    let asked = (0..cpus::COUNT).filter(|&cpu| is_asked(cpu));
    let unfinished = AtomicUsize::new(asked.count());
    cpus::run_everywhere(|cpu| {
        if is_asked(cpu) {
            work();
            unfinished.fetch_sub(1, Ordering::SeqCst);
        }
        while unfinished.load(Ordering::SeqCst) > 0 {
            if cpus::take_interrupt() {
                ENGINE.on_ipi();
            }
            clock::relax();
        }
    });
}

impl Cpus for Kernel {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        run(|index| index == cpu.index(), work);
    }

    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        run(|_| true, work);
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
