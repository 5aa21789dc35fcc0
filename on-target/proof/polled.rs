//! CPUs that look for interrupts between two jobs, as the suite drives them.

use crate::kernel::platform::ENGINE;
use crate::kernel::{clock, cpus};
use core::sync::atomic::{AtomicUsize, Ordering};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown_model::conformance::Cpus;

pub(crate) struct Work;

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

impl Cpus for Work {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        run(|index| index == cpu.index(), work);
    }

    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        run(|_| true, work);
        true
    }
}
