//! The contract of `Arch`, of the page tables under it and of the whole engine, as CPUs and devices see it.

mod at_once;
mod bench;
mod ending;
mod flush;
mod way;

pub use ending::ending;
pub use way::Way;

use super::cpus::Cpus;
use super::entry::{Agent, Window};
use super::failure::Failure;
use super::passed::Passed;
use bench::Bench;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;

/// What the kernel supplies: test pages of one address space, which the executing CPU uses as user mode does.
///
/// Every online CPU runs the space, and goes on running it. Nobody but the suite uses or changes these pages.
pub trait Probe: Cpus + Window {
    /// The device that shares the page table of the space, attached with the engine.
    fn device(&self) -> Option<&dyn Agent> {
        None
    }

    /// Test pages of the kernel half, used by the executing CPU as the kernel does. Only reads are asked for.
    fn kernel(&self) -> Option<&dyn Window> {
        None
    }

    /// Has the executing CPU run the space no longer and keep its root, as it does for an idle task or a kernel thread
    /// ([`Shootdown::enter_lazy`]); a kernel that never does so loads a root of its own. False where the suite is not to try.
    fn idle(&self) -> bool {
        false
    }
}

/// Checks that every [`Way`] of flushing leaves no CPU and no device with an old entry, started on the calling CPU and on the last one, and in
/// the end by all CPUs at once. `space` is what the CPUs run and [`Probe::store`](Window::store) changes.
///
/// # Errors
/// The first old entry that was used, and after which way; or why there was nothing to see. The pages are then left as they were.
///
/// # Context
/// Task context on one CPU, interrupts on, no lock held that [`Window::store`] takes, after every CPU has come online and switched to the
/// space; no CPU comes or goes meanwhile.
pub fn arch<P: Platform, const WORDS: usize>(
    engine: &Shootdown<P, WORDS>,
    space: &AddressSpace<P::Arch, WORDS>,
    probe: &dyn Probe,
) -> Result<Passed, Failure> {
    let bench = Bench::new(engine, space, probe);
    let mut passed = Passed::default();
    for initiator in bench.initiators() {
        for way in Way::ALL {
            let possible = bench.is_possible(way);
            if possible {
                bench.control(way, &mut passed)?;
                bench.cure(way, initiator)?;
            }
            passed.note(possible);
        }
    }
    passed.note(bench.at_once()?);
    Ok(passed)
}
