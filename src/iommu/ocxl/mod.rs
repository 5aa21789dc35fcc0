//! OpenCAPI on POWER: accelerators that share a process's radix tables through the nest MMU, and the Scheduled Process Area that lets them.
//!
//! One [`Link`] is one PHB with the devices behind it. The nest MMU hears the CPUs' `tlbie`, or is told through the ATSD registers, as
//! [`Mode`] says; the process elements are the same.
//!
//! # Use
//! 1. [`Link::new`] with the [`Mode`], memory for process elements, the kernel's [`Host`] and a [`Config`]; give firmware
//!    [`Link::spa`] (`opal_npu_spa_setup`).
//! 2. For each process [`Link::reserve`], which gives the [`AttachKey`] to attach in the engine; then [`Link::install`]; then start the
//!    device's context.
//! 3. After the engine's detach [`Link::detach`], which gives the PASIDs back.
//!
//! In between the engine drives it as a [`SecondaryTlb`]. The registers take one invalidation at a time: by page up to
//! [`Config::most_pages`] pages whose size the flush promises, else of the whole process, which is one. What waits for them is
//! kept in a small store that widens requests before it refuses any, and is launched by whoever seals or polls. A fence is the number of a
//! request, and reached when none up to it is outstanding. Nothing is charged to a fence but what was queued before it.
//!
//! # The end of a process
//! A device that uses a process element that is not valid stops the machine, so nothing is taken from under it. Its release begins with
//! the order to end its accesses, and finds no room ([`Full`]) until each device has done that, its element is emptied and the link has
//! dropped what it had cached of it; the release that finds all that done queues the invalidation. A device that never ends its accesses
//! therefore holds up the release of its own process alone, until the engine's deadline: [`Link::unfinished`] tells which one. The element and
//! the PASID stay until it is reset, and the release or the detach that comes after that goes on from there.
//!
//! A release may begin long before the device's last access, so a link that snoops has the process flushed by the CPUs once more at the
//! end ([`Host::flush_process`]): what they broadcast before may have been cached anew.
//!
//! ```
//! use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
//! use tlb_shootdown::iommu::ocxl::{AttachError, Config, Context, Host, InitError, Link, Mode, Process};
//! use tlb_shootdown::lock::{CriticalSectionLock, RingLock};
//! use tlb_shootdown::secondary::AttachKey;
//!
//! /// Brings a link up. `spa` has 128 bytes for each PASID, 4 MiB for all of them.
//! fn bring_up<M: Mmio, B: DmaBarriers, H: Host>(
//!     mode: Mode<M>,
//!     barriers: B,
//!     spa: DmaRegion,
//!     host: H,
//! ) -> Result<Link<M, B, CriticalSectionLock, H>, InitError> {
//!     let link = Link::new(mode, barriers, CriticalSectionLock, spa, host, Config::power10())?;
//!     // Here the kernel gives `link.spa()` to firmware.
//!     Ok(link)
//! }
//!
//! /// Lets an accelerator act for a process. Between the two steps the kernel attaches the key to the process's address space in the
//! /// engine, so that no flush is missed.
//! fn share<M: Mmio, B: DmaBarriers, L: RingLock, H: Host>(
//!     link: &Link<M, B, L, H>,
//!     context: Context,
//!     process: &Process,
//!     attach_in_engine: impl FnOnce(AttachKey),
//! ) -> Result<AttachKey, AttachError> {
//!     let key = link.reserve(&[context], process)?;
//!     attach_in_engine(key);
//!     link.install(key)?;
//!     Ok(key)
//! }
//! ```

mod attach;
pub mod command;
pub mod config;
mod ending;
mod error;
mod host;
mod ids;
mod plan;
pub mod process_element;
mod queue;
pub mod registers;
mod requests;
mod spa;
mod state;

pub use super::memory::MemoryError;
pub use config::{Config, Context, Mode, Process};
pub use error::{AttachError, InitError, Unfinished};
pub use host::{Host, HostError};
pub use ids::{FunctionId, Pasid, Pid};

use crate::address::PhysAddr;
use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use crate::lock::RingLock;
use crate::secondary::{AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb};
use crate::sync::UnsafeCell;
use core::fmt;
use core::task::Poll;
use ending::Progress;
use spa::Spa;
use state::{Hardware, Locked, State};

/// One OpenCAPI link.
///
/// `SLOTS` bounds processes and contexts, each for itself; `REQUESTS`, no smaller than that, the invalidations that wait at once without
/// being widened. All memory is within the value and the region that it was given.
pub struct Link<M, B, L, H, const SLOTS: usize = 32, const REQUESTS: usize = 64> {
    hardware: Hardware<M, B>,
    host: H,
    lock: L,
    state: UnsafeCell<State<SLOTS, REQUESTS>>,
}

// SAFETY: the state is reached through `locked` alone, under the lock; the rest is immutable and itself `Sync`.
unsafe impl<M: Mmio, B: DmaBarriers, L: RingLock, H: Host, const S: usize, const R: usize> Sync
    for Link<M, B, L, H, S, R>
{
}

impl<M, B, L, H, const S: usize, const R: usize> fmt::Debug for Link<M, B, L, H, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("config", &self.hardware.config)
            .finish_non_exhaustive()
    }
}

impl<M, B, L, H, const SLOTS: usize, const REQUESTS: usize> Link<M, B, L, H, SLOTS, REQUESTS>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
    H: Host,
{
    /// Takes over a link that has no process yet. `spa` begins at a page of 4 KiB and has 128 bytes for each PASID, from 0 on.
    ///
    /// # Errors
    /// [`InitError`].
    pub fn new(
        mode: Mode<M>,
        barriers: B,
        lock: L,
        spa: DmaRegion,
        host: H,
        config: Config,
    ) -> Result<Self, InitError> {
        const { assert!(REQUESTS >= SLOTS, "a place for each process") };
        if let Mode::Atsd(registers) = &mode {
            queue::check(registers)?;
        }
        let spa = Spa::new(spa)?;
        let hardware = Hardware {
            mode,
            barriers,
            config,
            spa_phys: spa.phys(),
            pasids: spa.pasids(),
        };
        // Whoever is given the address finds no element valid.
        hardware.barriers.publish_tables();
        Ok(Self {
            hardware,
            host,
            lock,
            state: UnsafeCell::new(State::new(spa)),
        })
    }

    /// Where the Scheduled Process Area is, for firmware.
    pub const fn spa(&self) -> PhysAddr {
        PhysAddr::new(self.hardware.spa_phys)
    }

    /// How many PASIDs have a process element.
    pub const fn pasids(&self) -> u32 {
        self.hardware.pasids
    }

    /// Runs `f` on the locked state, at nobody's expense.
    fn locked<R>(&self, f: impl FnOnce(&mut Locked<'_, M, B, SLOTS, REQUESTS>) -> R) -> R {
        self.locked_at(&mut Cost::default(), f)
    }

    fn locked_at<R>(
        &self,
        cost: &mut Cost,
        f: impl FnOnce(&mut Locked<'_, M, B, SLOTS, REQUESTS>) -> R,
    ) -> R {
        self.lock.with(|| {
            self.state.with_mut(|state| {
                // SAFETY: the lock admits one closure at a time, and none of them locks again.
                let state = unsafe { &mut *state };
                f(&mut Locked {
                    hw: &self.hardware,
                    state,
                    cost,
                })
            })
        })
    }
}

// SAFETY: a fence is reached when STAT has shown, behind each launch, that everything up to its number is complete; what may have been
// lost is launched again before that (`queue`). A release succeeds when every device has ended its accesses, by the promise of `Host`,
// and no process element leads to the tables any more; the invalidation comes after that (`ending`). Every method takes a bounded number
// of steps, and waits for none.
unsafe impl<M, B, L, H, const S: usize, const R: usize> SecondaryTlb for Link<M, B, L, H, S, R>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
    H: Host,
{
    fn queue(&self, invalidation: &Invalidation, cost: &mut Cost) -> Result<(), Full> {
        self.locked_at(cost, |l| l.queue(invalidation))
    }

    fn seal(&self, cost: &mut Cost) -> Fence {
        self.locked_at(cost, |l| l.seal())
    }

    fn poll(&self, fence: &mut Fence, cost: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        self.locked_at(cost, |l| l.poll(fence))
    }

    fn release(&self, key: AttachKey, cost: &mut Cost) -> Result<(), Full> {
        match self.end(key, cost) {
            None | Some(Progress::Ended(_)) => Ok(()),
            Some(Progress::Waiting(_) | Progress::Refused(_)) => Err(Full),
        }
    }

    fn needs(&self) -> Needs {
        let snoops = matches!(self.hardware.mode, Mode::Snooping);
        let mut needs = Needs::empty();
        needs.set(
            Needs::UPGRADES,
            !Defect::LinkUpgradesNotNeeded.is_put_back(),
        );
        needs.set(Needs::SNOOPS_BROADCASTS, snoops);
        needs.set(Needs::BREAKS_UPGRADES, self.hardware.config.breaks_upgrades);
        needs
    }
}
