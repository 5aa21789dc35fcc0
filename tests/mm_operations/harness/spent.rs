//! What an operation costs, as the machine has counted it.

use super::column::Beside;
use super::kernel::{Kernel, Left};
use super::machine::Machine;
use std::ops::AddAssign;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::oracle::Counts;

/// The figures of a row, for CPUs of the first kind: AArch64, x86-64 without broadcasts, and POWER9.
///
/// On AArch64 one range instruction takes an even number of pages. On x86-64 each of the CPUs that run the process drops a page by an
/// instruction, up to 33 of them; the lazy CPU is interrupted where tables go, or all of the space, and leaves the root. A POWER9 adds two
/// `tlbie` to each completion, one for each of its defects.
///
/// An IOMMU has one command for each run of pages, and so has its device's TLB; a link is told page by page, up to eight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// Shootdowns: each has one store barrier, and one round with the device.
    pub(crate) rounds: u32,
    /// TLBI, INVLPG and INVPCID of all CPUs, `tlbie` and `tlbiel`.
    pub(crate) invalidations: [u32; 3],
    pub(crate) interrupts: [u32; 3],
    /// Of an SMMU, a VT-d unit, an AMD IOMMU, and a link of POWER9's.
    pub(crate) commands: [u32; 4],
    /// Rounds that devices have no part in.
    pub(crate) without_device: u32,
    /// The device is made to stop: entries of its own tables are cleared, and what was cached of them goes.
    pub(crate) releases: bool,
}

/// Sums up what the machine counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meter {
    store_barriers: u32,
    invalidations: u32,
    interrupts: u32,
    pub(super) commands: u32,
    waits: u32,
    doorbells: u32,
}

impl Meter {
    /// Adds what was counted since, and gives it.
    pub(super) fn take(&mut self, model: &Model) -> Self {
        let counts = Self::from(model.take_counts());
        *self += counts;
        counts
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Nothing has been issued; a barrier of somebody's is no harm.
    pub(super) fn is_quiet(&self) -> bool {
        let barriers_aside = Self {
            store_barriers: 0,
            ..*self
        };
        barriers_aside == Self::default()
    }
}

impl From<Counts> for Meter {
    fn from(counts: Counts) -> Self {
        Self {
            store_barriers: counts.store_barriers,
            invalidations: counts.tlbis + counts.hypercalls,
            interrupts: counts.ipis,
            commands: counts.commands,
            waits: counts.syncs,
            doorbells: counts.doorbells,
        }
    }
}

impl AddAssign for Meter {
    fn add_assign(&mut self, other: Self) {
        self.store_barriers += other.store_barriers;
        self.invalidations += other.invalidations;
        self.interrupts += other.interrupts;
        self.commands += other.commands;
        self.waits += other.waits;
        self.doorbells += other.doorbells;
    }
}

impl Spent {
    pub(crate) const NOTHING: Self = Self {
        rounds: 0,
        invalidations: [0; 3],
        interrupts: [0; 3],
        commands: [0; 4],
        without_device: 0,
        releases: false,
    };

    /// One shootdown.
    pub(crate) const fn once(
        invalidations: [u32; 3],
        interrupts: [u32; 3],
        commands: [u32; 4],
    ) -> Self {
        Self {
            rounds: 1,
            invalidations,
            interrupts,
            commands,
            ..Self::NOTHING
        }
    }

    /// The figures for this architecture and this device. For each round an SMMU with a device TLB has two waits behind one doorbell, a VT-d
    /// unit one, an AMD IOMMU two behind two; a link rings for every command (`golden_costs` has the reasons).
    fn on(&self, index: usize, beside: Beside) -> Meter {
        let rounds = self.rounds - self.without_device;
        let release = u32::from(self.releases);
        // The last is how often a device's own tables are published: on a link the element ends before it is emptied.
        let (commands, waits, doorbells, tables) = match beside {
            Beside::Nothing => (0, 0, 0, 0),
            Beside::Smmu | Beside::SnoopingSmmu => {
                (self.commands[0], 2 * rounds + release, rounds, release)
            }
            Beside::Vtd => (self.commands[1], rounds + release, rounds, release),
            Beside::Amd => (self.commands[2], 2 * rounds, 2 * rounds, release),
            Beside::Link(_) => (self.commands[3], 0, self.commands[3], 2 * release),
        };
        Meter {
            store_barriers: self.rounds + tables,
            invalidations: self.invalidations[index],
            interrupts: self.interrupts[index],
            commands,
            waits,
            doorbells,
        }
    }
}

impl<M: Machine> Kernel<M> {
    /// The operation has cost this since it began, and no more.
    #[track_caller]
    pub(crate) fn has_spent(&mut self, spent: Spent) {
        self.meter.take(&self.model);
        if self.run.counts && self.run.left == Left::Nothing {
            let (counted, expected) = (self.meter, spent.on(M::INDEX, self.run.beside));
            assert_eq!(counted, expected, "{:?}", self.run);
        }
    }
}
