//! The contract of `SecondaryTlb`, as far as it can be seen.

mod device;
mod fences;
mod port;
mod queueing;
mod releasing;

use super::cpus::{Check, check_all};
use super::entry::Window;
use super::failure::Failure;
use super::passed::Passed;
use port::Port;
use tlb_shootdown::address::PageRange;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};

/// How far the suite goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Pages of the attached space, at least four of one size.
    pub pages: PageRange,
    /// Polls after which a fence must have been reached, and calls after which there must be room again, each with a turn of the
    /// spin loop.
    pub polls: u32,
    /// Invalidations after which a queue that is never sealed must be full. One that is not is not checked for what it does then.
    pub room: u32,
}

/// What is around the secondary TLB.
pub trait Surroundings: Sync {
    /// One turn of a spin loop.
    fn relax(&self) {
        core::hint::spin_loop();
    }

    /// Runs `work` on several CPUs at the same time, as [`Cpus::run_together`](super::Cpus::run_together).
    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        let _ = work;
        false
    }

    /// Pages of the attached space, used by a device behind the secondary TLB. What is [stored](Window::store) is here visible to its walkers
    /// on return: no CPU flushes. Where rights must not be widened in place
    /// ([`Needs::BREAKS_UPGRADES`](tlb_shootdown::secondary::Needs::BREAKS_UPGRADES)) they are not.
    fn device(&self) -> Option<&dyn Window> {
        None
    }

    /// Whether the device shows that its space was released. False where an emulated IOMMU goes on with a table that it has walked before:
    /// whether the device is silent then is not checked, and [`Passed`] says so.
    fn shows_release(&self) -> bool {
        true
    }
}

/// Checks a [`SecondaryTlb`] to which a space is attached as `key`, and releases that space in the end: it cannot be used any more.
///
/// Nobody else flushes through it meanwhile. Errors of real hardware that come in between are failures here.
///
/// # Errors
/// The first sentence of the contract that is found broken.
///
/// # Context
/// Task context on one CPU, interrupts on, no lock held.
pub fn secondary(
    tlb: &dyn SecondaryTlb,
    key: AttachKey,
    bounds: &Bounds,
    surroundings: &dyn Surroundings,
) -> Result<Passed, Failure> {
    let port = Port::new(tlb, key, *bounds, surroundings);
    let mut passed = Passed::default();
    queueing::check(&port, &mut passed)?;
    fences::check(&port, &mut passed)?;
    device::check(&port, &mut passed)?;
    releasing::check(&port, &mut passed)?;
    Ok(passed)
}

/// Lets several CPUs check something at once. Whether they could.
fn check_together_around(
    surroundings: &dyn Surroundings,
    check: impl Fn() -> Check + Sync,
) -> Result<bool, Failure> {
    check_all(|work| surroundings.run_together(work), check)
}
