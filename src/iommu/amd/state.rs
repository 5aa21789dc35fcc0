//! What the ring lock protects.

use super::config::{Config, Translation};
use super::deferred::Deferred;
use super::device_table::DeviceTable;
use super::event::EventLog;
use super::features::Features;
use super::gcr3::Gcr3Table;
use super::ids::{DeviceId, DomainId, Pasid};
use super::retry::{Batch, Halts, LogState};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::iommu::memory::Table;
use crate::iommu::ring::Positions;
use crate::iommu::spaces::Spaces;
use crate::secondary::SecondaryError;

/// What never changes after set-up, and needs no lock.
#[derive(Debug)]
pub(super) struct Hardware<M, B> {
    pub(super) registers: M,
    pub(super) barriers: B,
    pub(super) features: Features,
    pub(super) config: Config,
}

/// One address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttachedSpace {
    pub(super) translation: Translation,
    /// The tag of what is cached from a host table. What is cached from a process table has the tag of each device.
    pub(super) domain: Option<DomainId>,
    /// Its walks were ended for good.
    pub(super) released: bool,
}

/// One context of one device, and the address space that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) space: usize,
    pub(super) device: usize,
    pub(super) pasid: Option<Pasid>,
}

/// How a device is translated.
#[derive(Debug)]
pub(super) enum Kind {
    Host,
    Pasid {
        gcr3: Gcr3Table,
        domain: DomainId,
        refuse_untagged: bool,
    },
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) kind: Kind,
    /// How many invalidations its own TLB takes at once, where that is enabled.
    pub(super) queue_depth: Option<u8>,
    /// It failed to answer and was cut off.
    pub(super) dead: bool,
    /// Whether an invalidation of its TLB is unproven and has to be repeated.
    pub(super) suspect: bool,
    /// The position from which on it was served: older fences do not concern it.
    pub(super) since: u64,
}

impl Device {
    /// Whether its TLB is to be invalidated.
    pub(super) fn answers(&self) -> bool {
        self.queue_depth.is_some() && !self.dead
    }

    /// The tag of what is cached from its process tables.
    pub(super) fn domain(&self) -> Option<DomainId> {
        match self.kind {
            Kind::Host => None,
            Kind::Pasid { domain, .. } => Some(domain),
        }
    }

    pub(super) fn gcr3(&self) -> Option<&Gcr3Table> {
        match &self.kind {
            Kind::Host => None,
            Kind::Pasid { gcr3, .. } => Some(gcr3),
        }
    }
}

#[derive(Debug)]
pub(super) struct State<const SLOTS: usize, const PENDING: usize> {
    /// "Consumed" is what is known to be complete: the head says only what was fetched.
    pub(super) ring: Positions,
    pub(super) entries: Table,
    pub(super) device_table: DeviceTable,
    pub(super) events: Option<EventLog>,
    /// Events that the kernel did not take before room was needed.
    pub(super) dropped_events: u32,
    /// Whether the event log runs, or is being started anew after an overflow.
    pub(super) log: LogState,
    /// The word that completions are stored to.
    pub(super) completion: Table,
    /// The position of the first command that was queued and not yet sealed.
    pub(super) open_from: Option<u64>,
    /// The position after the last seal.
    pub(super) sealed: u64,
    /// The devices with a command in a seal that is not known to be complete.
    pub(super) unproven: u64,
    pub(super) deferred: Deferred<PENDING>,
    pub(super) batch: Option<Batch>,
    pub(super) spaces: Spaces<AttachedSpace, SLOTS>,
    pub(super) bindings: [Option<Binding>; SLOTS],
    pub(super) devices: [Option<Device>; SLOTS],
    pub(super) halts: Halts,
    /// What stands before this position is done again since the last restart.
    pub(super) replaying: u64,
    /// Why nothing is submitted any more, or not before the bring-up.
    pub(super) stopped: Option<SecondaryError>,
    pub(super) phase: Phase,
}

/// Whether the IOMMU has been brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Off,
    Starting,
    On,
}

impl<const SLOTS: usize, const PENDING: usize> State<SLOTS, PENDING> {
    pub(super) fn new(
        log2_commands: u8,
        entries: Table,
        device_table: DeviceTable,
        events: Option<EventLog>,
        completion: Table,
    ) -> Self {
        Self {
            ring: Positions::new(
                u32::from(log2_commands),
                u64::from(!Defect::AmdGapNotKept.is_put_back()),
            ),
            entries,
            device_table,
            events,
            dropped_events: 0,
            log: LogState::Runs,
            completion,
            open_from: None,
            sealed: 0,
            unproven: 0,
            deferred: Deferred::new(),
            batch: None,
            spaces: Spaces::new(),
            bindings: [None; SLOTS],
            devices: core::array::from_fn(|_| None),
            halts: Halts::default(),
            replaying: 0,
            stopped: Some(SecondaryError::QueueStopped),
            phase: Phase::Off,
        }
    }

    /// Forgets what was submitted: for a buffer that is off, with nothing attached that could wait for it.
    pub(super) fn discard_submissions(&mut self) {
        self.ring.discard();
        self.sealed = self.ring.written();
        self.open_from = None;
        self.unproven = 0;
        self.deferred = Deferred::new();
        self.batch = None;
        self.halts = Halts::default();
        self.replaying = 0;
        self.log = LogState::Runs;
    }

    /// The bindings of one address space with their devices.
    pub(super) fn contexts_of(
        &self,
        space: usize,
    ) -> impl Iterator<Item = (Binding, &Device)> + Clone {
        self.bindings
            .iter()
            .flatten()
            .filter(move |binding| binding.space == space)
            .filter_map(|binding| Some((*binding, self.devices.get(binding.device)?.as_ref()?)))
    }

    /// The binding in this slot with its device.
    pub(super) fn context(&self, slot: usize) -> Option<(Binding, &Device)> {
        let binding = self.bindings.get(slot).copied()??;
        Some((binding, self.devices.get(binding.device)?.as_ref()?))
    }

    /// Whether an address space uses a device.
    pub(super) fn is_bound(&self, device: usize) -> bool {
        self.bindings
            .iter()
            .flatten()
            .any(|binding| binding.device == device)
    }

    /// The slot of a device.
    pub(super) fn device_slot(&self, id: DeviceId) -> Option<usize> {
        self.devices
            .iter()
            .position(|device| device.as_ref().is_some_and(|device| device.id == id))
    }

    /// A tag that nothing uses. What was cached under it is gone: its last user's end has invalidated it.
    pub(super) fn free_domain(&self) -> Option<DomainId> {
        let used = |domain| {
            let spaces = self.spaces.iter().filter_map(|space| space.domain);
            let devices = self.devices.iter().flatten().filter_map(Device::domain);
            spaces.chain(devices).any(|other| other == domain)
        };
        (1..=u16::MAX).map(DomainId).find(|&domain| !used(domain))
    }
}

/// The state under the lock, with all that is needed to act on it.
pub(super) struct Locked<'a, M, B, const SLOTS: usize, const PENDING: usize> {
    pub(super) hw: &'a Hardware<M, B>,
    pub(super) state: &'a mut State<SLOTS, PENDING>,
    pub(super) cost: &'a mut Cost,
}
