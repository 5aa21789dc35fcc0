//! The engine: the one path that every flush takes.
//!
//! Each flush goes the same way, whatever it covers ([`start`](self)):
//!
//! 1. make the page-table stores visible to every walker (promise 1);
//! 2. raise the generation where CPUs compare one, then read the identifier and who may hold entries (promise 2);
//! 3. queue to every secondary TLB and ring, then start the CPUs: all are started before anybody is waited for;
//! 4. flush this CPU meanwhile;
//! 5. wait for all of them (promise 3); only then does memory go back to its owner (promise 4).

mod cpus;
mod kernel;
mod lazy;
mod mailbox;
mod mistakes;
mod nmi;
mod retire;
mod start;
mod targets;
mod upgrade;
mod user;

pub(crate) use start::Scope;
pub use upgrade::UpgradeStep;

use crate::attachment::Slots;
use crate::cost::Cost;
use crate::cpu_set::{AtomicCpuSet, CpuId, CpuSet};
use crate::deadline::{Deadline, Patience};
use crate::mailbox::Mailboxes;
use crate::nmi::Rounds;
use crate::platform::Platform;
use crate::space::{AddressSpace, SpaceId};
use crate::stats::{Counters, Stats};
use crate::sync::{AtomicU32, AtomicU64, CPUS_PER_WORD, Ordering, array_of, const_unless_loom};

/// The shootdown engine of one machine, for up to `64 * WORDS` CPUs. Made by a `const fn`, to stand in a static.
pub struct Shootdown<P: Platform, const WORDS: usize> {
    platform: P,
    arch: P::Arch,
    patience: Patience,
    /// CPUs that new shootdowns take into account.
    online: AtomicCpuSet<WORDS>,
    /// CPUs that are waited for: a leaving CPU is taken off this set last, once it has flushed everything.
    present: AtomicCpuSet<WORDS>,
    mailboxes: Mailboxes<WORDS>,
    nmi: Rounds<WORDS>,
    /// How deep each CPU is in calls to secondary TLBs.
    callback_depth: [[AtomicU32; CPUS_PER_WORD]; WORDS],
    counters: Counters<WORDS>,
    next_space: AtomicU64,
    /// IOMMUs that are told of freed kernel tables.
    pub(crate) instances: Slots,
}

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    const_unless_loom! {
        /// An engine without CPUs: each announces itself with [`cpu_online`](Self::cpu_online), the boot CPU first.
        pub const fn new(platform: P, arch: P::Arch) -> Self {
            Self::with_patience(platform, arch, Patience::DEFAULT)
        }
    }

    const_unless_loom! {
        /// Like [`new`](Self::new), with another limit to the time that a shootdown may take.
        pub const fn with_patience(platform: P, arch: P::Arch, patience: Patience) -> Self {
            Self {
                platform,
                arch,
                patience,
                online: AtomicCpuSet::new(),
                present: AtomicCpuSet::new(),
                mailboxes: Mailboxes::new(),
                nmi: Rounds::new(),
                callback_depth: array_of!(WORDS, array_of!(CPUS_PER_WORD, AtomicU32::new(0))),
                counters: Counters::new(),
                next_space: AtomicU64::new(1),
                instances: Slots::new(),
            }
        }
    }

    /// A new address space, which no CPU and no device has seen.
    pub fn new_space(&self) -> AddressSpace<P::Arch, WORDS> {
        let id = self.next_space.fetch_add(1, Ordering::Relaxed);
        AddressSpace::new(SpaceId::from_raw(id))
    }

    /// The platform.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// The architecture, for what only one architecture has: pinned identifiers, discovered features.
    pub fn arch(&self) -> &P::Arch {
        &self.arch
    }

    /// The counters of all CPUs, summed now.
    pub fn stats(&self) -> Stats {
        self.counters.sum()
    }

    pub(crate) fn count(&self, stats: &Stats) {
        let _pin = self.platform.pin_cpu();
        self.counters.add(self.platform.cpu(), stats);
    }

    pub(crate) fn count_completed(&self, cost: &Cost) {
        self.count(&Stats::of_completed(cost));
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::new(self.platform.now(), self.patience)
    }

    /// Runs a call to a secondary TLB, marked on this CPU, so that a detach from within it is refused instead of waiting for
    /// itself.
    pub(crate) fn in_callback<R>(&self, f: impl FnOnce() -> R) -> R {
        let _pin = self.platform.pin_cpu();
        let depth = self.callback_depth(self.platform.cpu());
        if let Some(depth) = depth {
            depth.fetch_add(1, Ordering::Relaxed);
        }
        let result = f();
        if let Some(depth) = depth {
            depth.fetch_sub(1, Ordering::Relaxed);
        }
        result
    }

    pub(crate) fn is_in_callback(&self) -> bool {
        let _pin = self.platform.pin_cpu();
        self.callback_depth(self.platform.cpu())
            .is_some_and(|depth| depth.load(Ordering::Relaxed) != 0)
    }

    fn callback_depth(&self, cpu: CpuId) -> Option<&AtomicU32> {
        self.callback_depth.as_flattened().get(cpu.index())
    }

    /// The CPUs that a shootdown has to reach.
    fn online(&self) -> CpuSet<WORDS> {
        self.online.load(Ordering::SeqCst)
    }
}
