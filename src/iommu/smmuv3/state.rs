//! What the ring lock protects.

use super::command::Command;
use super::config::{Completion, Config};
use super::context::{ContextDescriptor, ContextTable};
use super::event::EventQueue;
use super::features::Features;
use super::ids::{Asid, Granule, StreamId, SubstreamId};
use super::retry::{Recovery, Repeats};
use super::stream_table::StreamTable;
use crate::cost::Cost;
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
    pub(super) asid: Asid,
    /// The ASID is the CPUs', and their broadcasts invalidate this SMMU's TLB.
    pub(super) shared: bool,
    pub(super) granule: Granule,
    pub(super) va_bits: u8,
    pub(super) descriptor: ContextDescriptor,
    /// Its walks were ended for good.
    pub(super) released: bool,
}

/// One context of one stream, and the address space that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) space: usize,
    pub(super) stream: usize,
    pub(super) substream: Option<SubstreamId>,
}

impl Binding {
    pub(super) fn context(&self) -> u32 {
        self.substream.map_or(0, SubstreamId::raw)
    }
}

/// One device.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) contexts: ContextTable,
    pub(super) substream_bits: u8,
    /// log2 of the device's smallest translation unit, where its own TLB is enabled.
    pub(super) stu_shift: Option<u8>,
    /// It failed to answer and was cut off.
    pub(super) dead: bool,
    /// Whether an invalidation of its TLB is unproven and has to be repeated.
    pub(super) suspect: bool,
    /// The position after its last ATC_INV; 0 before the first.
    pub(super) last_atc: u64,
    /// The position from which on it was served: older fences do not concern it.
    pub(super) since: u64,
}

impl Stream {
    /// Whether its TLB is to be invalidated.
    pub(super) fn answers(&self) -> bool {
        self.stu_shift.is_some() && !self.dead
    }
}

#[derive(Debug)]
pub(super) struct State<const SLOTS: usize, const PENDING: usize> {
    pub(super) ring: Positions,
    pub(super) entries: Table,
    pub(super) stream_table: StreamTable,
    pub(super) events: Option<EventQueue>,
    pub(super) message: Option<Table>,
    /// As configured, until a message is aborted.
    pub(super) completion: Completion,
    /// The position after the last CMD_SYNC.
    pub(super) synced: u64,
    /// The position of the first command that was queued and not yet sealed.
    pub(super) open_from: Option<u64>,
    /// The position after the last seal.
    pub(super) sealed: u64,
    /// The devices with an ATC_INV in a seal that is not known to be complete.
    pub(super) unproven: u64,
    /// The furthest fence that was seen complete.
    pub(super) proven: u64,
    /// The ATC_INV commands.
    pub(super) pending: Pending<Command, PENDING>,
    pub(super) spaces: Spaces<AttachedSpace, SLOTS>,
    pub(super) bindings: [Option<Binding>; SLOTS],
    pub(super) streams: [Option<Stream>; SLOTS],
    pub(super) recovery: Option<Recovery>,
    pub(super) repeats: Repeats,
    /// Why nothing is submitted any more, or not before the bring-up.
    pub(super) stopped: Option<SecondaryError>,
    pub(super) phase: Phase,
}

/// Whether the SMMU has been brought up.
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
        stream_table: StreamTable,
        events: Option<EventQueue>,
        message: Option<Table>,
        completion: Completion,
    ) -> Self {
        Self {
            ring: Positions::new(u32::from(log2_commands), 0),
            entries,
            stream_table,
            events,
            message,
            completion,
            synced: 0,
            open_from: None,
            sealed: 0,
            unproven: 0,
            proven: 0,
            pending: Pending::new(Command::sync()),
            spaces: Spaces::new(),
            bindings: [None; SLOTS],
            streams: core::array::from_fn(|_| None),
            recovery: None,
            repeats: Repeats::default(),
            stopped: Some(SecondaryError::QueueStopped),
            phase: Phase::Off,
        }
    }

    /// Forgets what was submitted: for a queue that is off, with nothing attached that could wait for it.
    pub(super) fn discard_submissions(&mut self) {
        self.ring.discard();
        self.synced = self.ring.written();
        self.sealed = self.ring.written();
        self.open_from = None;
        self.pending.clear();
        self.unproven = 0;
        self.recovery = None;
        self.repeats = Repeats::default();
    }

    /// The bindings of one address space with their streams.
    pub(super) fn contexts_of(
        &self,
        space: usize,
    ) -> impl Iterator<Item = (Binding, &Stream)> + Clone {
        self.bindings
            .iter()
            .flatten()
            .filter(move |binding| binding.space == space)
            .filter_map(|binding| Some((*binding, self.streams.get(binding.stream)?.as_ref()?)))
    }

    /// Whether an address space uses a stream.
    pub(super) fn is_bound(&self, stream: usize) -> bool {
        self.bindings
            .iter()
            .flatten()
            .any(|binding| binding.stream == stream)
    }

    /// The slot of a stream.
    pub(super) fn stream_slot(&self, id: StreamId) -> Option<usize> {
        self.streams
            .iter()
            .position(|stream| stream.as_ref().is_some_and(|stream| stream.id == id))
    }
}

/// The state under the lock, with all that is needed to act on it.
pub(super) struct Locked<'a, M, B, const SLOTS: usize, const PENDING: usize> {
    pub(super) hw: &'a Hardware<M, B>,
    pub(super) state: &'a mut State<SLOTS, PENDING>,
    pub(super) cost: &'a mut Cost,
}
