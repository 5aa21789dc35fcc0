//! What the ring lock protects.

use super::command::Command;
use super::config::{Config, DeviceTlb, TranslationConfig};
use super::features::Features;
use super::ids::{DomainId, Pasid, SourceId};
use super::pasid_table::PasidTable;
use super::registers::Global;
use super::retry::{Recovery, Repeats};
use super::root_table::RootTable;
use super::tag::Tag;
use crate::cost::Cost;
use crate::defects::Defect;
use crate::iommu::memory::Table;
use crate::iommu::pending::Pending;
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
    pub(super) translation: TranslationConfig,
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

impl Binding {
    /// A PASID has one address space in all devices of a unit and shares the configured domain; requests without one all use entry 0
    /// of their table, and so need a domain for each address space.
    pub(super) fn tag(&self, config: &Config) -> Tag {
        match self.pasid {
            Some(pasid) => Tag {
                domain: config.domain,
                pasid,
            },
            None => Tag {
                domain: DomainId(config.domain.0.wrapping_add(1 + self.space as u16)),
                pasid: Pasid::NONE,
            },
        }
    }

    /// Its entry in the device's table.
    pub(super) fn index(&self) -> u32 {
        self.pasid.unwrap_or(Pasid::NONE).raw()
    }
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) id: SourceId,
    /// None in legacy mode.
    pub(super) pasids: Option<PasidTable>,
    pub(super) pasid_bits: u8,
    pub(super) tlb: Option<DeviceTlb>,
    pub(super) page_requests: bool,
    /// It failed to answer and was cut off.
    pub(super) dead: bool,
    /// Whether an invalidation of its TLB is unproven and has to be repeated.
    pub(super) suspect: bool,
    /// The position after its last invalidation; 0 before the first.
    pub(super) last_flush: u64,
    /// The position from which on it was served: older fences do not concern it.
    pub(super) since: u64,
}

impl Device {
    /// Its TLB, if that is to be invalidated.
    pub(super) fn answering(&self) -> Option<&DeviceTlb> {
        if self.dead { None } else { self.tlb.as_ref() }
    }

    /// How many descriptors one of its invalidations takes.
    pub(super) fn times(&self) -> u64 {
        match self.answering() {
            None => 0,
            Some(tlb) => 1 + u64::from(tlb.flush_twice),
        }
    }
}

#[derive(Debug)]
pub(super) struct State<const SLOTS: usize, const PENDING: usize> {
    /// `consumed` is what may be written over.
    pub(super) ring: Positions,
    pub(super) entries: Table,
    /// One word for each entry: what a wait descriptor in that entry writes.
    pub(super) status: Table,
    /// Everything before this position was proven complete by a wait descriptor.
    pub(super) completed: u64,
    pub(super) tables: RootTable,
    /// The position after the last wait descriptor.
    pub(super) waited: u64,
    /// The position of the first descriptor that was queued and not yet sealed.
    pub(super) open_from: Option<u64>,
    /// The position after the last seal.
    pub(super) sealed: u64,
    /// The devices with an invalidation in a seal that is not known to be complete.
    pub(super) unproven: u64,
    /// The device-TLB invalidations.
    pub(super) pending: Pending<Command, PENDING>,
    pub(super) spaces: Spaces<AttachedSpace, SLOTS>,
    pub(super) bindings: [Option<Binding>; SLOTS],
    pub(super) devices: [Option<Device>; SLOTS],
    pub(super) recovery: Option<Recovery>,
    pub(super) repeats: Repeats,
    /// The states among the bits of GCMD, as they were last written.
    pub(super) commanded: Global,
    /// The position up to which the flush of the write buffer that is under way reaches.
    pub(super) buffer_flush: Option<u64>,
    /// Why nothing is submitted any more, or not before the bring-up.
    pub(super) stopped: Option<SecondaryError>,
    pub(super) phase: Phase,
}

/// Whether the unit has been brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Off,
    Starting,
    On,
}

impl<const SLOTS: usize, const PENDING: usize> State<SLOTS, PENDING> {
    pub(super) fn new(log2_entries: u32, entries: Table, status: Table, tables: RootTable) -> Self {
        Self {
            // Equal head and tail mean empty: there is no wrap bit.
            ring: Positions::new(
                log2_entries,
                u64::from(!Defect::VtdGapNotKept.is_put_back()),
            ),
            entries,
            status,
            completed: 0,
            tables,
            waited: 0,
            open_from: None,
            sealed: 0,
            unproven: 0,
            pending: Pending::new(Command::wait_fence()),
            spaces: Spaces::new(),
            bindings: [None; SLOTS],
            devices: core::array::from_fn(|_| None),
            recovery: None,
            repeats: Repeats::default(),
            commanded: Global::empty(),
            buffer_flush: None,
            stopped: Some(SecondaryError::QueueStopped),
            phase: Phase::Off,
        }
    }

    /// Forgets what was submitted, and goes on at the first slot: for a queue that is off, with nothing attached that could wait for
    /// it.
    pub(super) fn discard_submissions(&mut self) {
        self.ring.restart();
        self.completed = self.ring.written();
        self.waited = self.ring.written();
        self.sealed = self.ring.written();
        self.open_from = None;
        self.pending.clear();
        self.unproven = 0;
        self.recovery = None;
        self.repeats = Repeats::default();
        self.buffer_flush = None;
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

    /// What the unit tags an address space's entries with, at the first binding that has the tag: several devices may share it.
    pub(super) fn tag_of(&self, space: usize, slot: usize, config: &Config) -> Option<Tag> {
        let of_space = |binding: &&Binding| binding.space == space;
        let binding = self.bindings.get(slot)?.as_ref().filter(of_space)?;
        let mut earlier = self.bindings.iter().take(slot).flatten().filter(of_space);
        let again = earlier.any(|other| other.pasid == binding.pasid);
        (!again).then(|| binding.tag(config))
    }

    /// The bindings of one device.
    pub(super) fn bindings_of(&self, device: usize) -> impl Iterator<Item = &Binding> + Clone {
        self.bindings
            .iter()
            .flatten()
            .filter(move |binding| binding.device == device)
    }

    /// The slot of a device.
    pub(super) fn device_slot(&self, id: SourceId) -> Option<usize> {
        self.devices
            .iter()
            .position(|device| device.as_ref().is_some_and(|device| device.id == id))
    }
}

/// The state under the lock, with all that is needed to act on it.
pub(super) struct Locked<'a, M, B, const SLOTS: usize, const PENDING: usize> {
    pub(super) hw: &'a Hardware<M, B>,
    pub(super) state: &'a mut State<SLOTS, PENDING>,
    pub(super) cost: &'a mut Cost,
}
