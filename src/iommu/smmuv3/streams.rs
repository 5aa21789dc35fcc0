//! Devices come under translation and leave it.

use super::Smmu;
use super::command::Command;
use super::config::StreamSetup;
use super::context::ContextTable;
use super::error::{AttachError, Unsupported};
use super::features::Features;
use super::ids::StreamId;
use super::state::{Locked, Stream};
use super::stream_table::StreamTableEntry;
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use crate::iommu::memory::Table;
use crate::iommu::wait::Halt;
use crate::lock::RingLock;

impl<M, B, L, const S: usize, const P: usize> Smmu<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Puts a device under translation, with no address space yet: its accesses are refused until one is attached.
    ///
    /// The device's own TLB is empty: ATS is enabled in the device after this call, or was reset since the stream was last
    /// removed. One that failed to answer and was cut off is always reset first, for nobody knows what it still holds.
    ///
    /// `wait` is asked in every turn of the wait for the SMMU; `false` ends it. May be called from any context in which `wait`
    /// may spin.
    ///
    /// # Errors
    /// [`AttachError`]. After [`AttachError::Timeout`] and [`AttachError::Failed`] the stream is added and its memory in use.
    pub fn add_stream(
        &self,
        setup: StreamSetup,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        let features = self.features();
        check_stream(features, &setup)?;
        let bytes = 64usize << setup.substream_bits;
        let contexts = Table::new(setup.contexts, bytes, bytes as u64, features.output_bits)?;
        let id = setup.stream;
        let stream = Stream {
            id,
            contexts: ContextTable::new(contexts),
            substream_bits: setup.substream_bits,
            stu_shift: setup.ats,
            dead: false,
            suspect: false,
            last_atc: 0,
            since: 0,
        };
        self.locked(|l| l.insert_stream(stream))?;
        self.sync_entry(id, wait)
            .map_err(|halt| AttachError::halted(halt, None))
    }

    /// Takes a device out of translation, and gives back the memory of its contexts. Its accesses are refused afterwards.
    ///
    /// # Errors
    /// [`AttachError::InUse`] while an address space is attached to one of its contexts; otherwise as for
    /// [`Self::add_stream`], and it may be called again.
    pub fn remove_stream(
        &self,
        id: StreamId,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<DmaRegion, AttachError> {
        let since = self.locked(|l| l.clear_stream(id))?;
        self.sync_entry(id, wait)
            .map_err(|halt| AttachError::halted(halt, None))?;
        self.locked(|l| l.take_stream(id, since))
    }

    fn sync_entry(&self, id: StreamId, wait: &mut dyn FnMut() -> bool) -> Result<(), Halt> {
        self.run(wait, 1, &mut |l| l.put(Command::cfgi_ste(id, true)))
    }
}

fn check_stream(features: &Features, setup: &StreamSetup) -> Result<(), AttachError> {
    if setup.substream_bits > features.substream_bits {
        return Err(Unsupported::Substreams.into());
    }
    match setup.ats {
        Some(_) if !features.ats => Err(Unsupported::Ats.into()),
        Some(stu_shift) if !(12..=63).contains(&stu_shift) => Err(Unsupported::Ats.into()),
        _ => Ok(()),
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    fn insert_stream(&mut self, mut stream: Stream) -> Result<(), AttachError> {
        let id = stream.id;
        if !self.state.stream_table.contains(id.0) {
            return Err(AttachError::UnknownStream);
        }
        if self.state.stream_slot(id).is_some() {
            return Err(AttachError::InUse);
        }
        let with_ats = |stream: &&Stream| stream.stu_shift.is_some();
        let devices = self.state.streams.iter().flatten().filter(with_ats).count()
            + usize::from(stream.stu_shift.is_some());
        if devices > P || self.whole_submission(1, devices as u64) > self.state.ring.usable() {
            return Err(AttachError::QueueTooSmall);
        }
        let Some(slot) = self.state.streams.iter().position(Option::is_none) else {
            return Err(AttachError::NoSlot);
        };
        stream.since = self.state.ring.written();
        let entry = StreamTableEntry::translate(
            stream.contexts.phys(),
            stream.substream_bits,
            stream.stu_shift.is_some(),
            self.hw.config.regime,
            &self.hw.features,
        );
        if !self.hw.features.coherent {
            stream.contexts.clean(&self.hw.barriers);
        }
        if let Some(place) = self.state.streams.get_mut(slot) {
            *place = Some(stream);
        }
        self.write_entry(id, entry);
        Ok(())
    }

    fn write_entry(&self, id: StreamId, entry: StreamTableEntry) {
        self.state
            .stream_table
            .write(id.0, entry, &self.hw.barriers, self.hw.features.coherent);
    }

    /// Gives what tells this stream from a later one with the same number.
    fn clear_stream(&mut self, id: StreamId) -> Result<u64, AttachError> {
        let slot = self.idle_stream(id)?;
        self.write_entry(id, StreamTableEntry::INVALID);
        self.since(slot).ok_or(AttachError::UnknownStream)
    }

    /// Gives the memory of a stream whose entry is gone; not that of one added since another removal was faster.
    fn take_stream(&mut self, id: StreamId, since: u64) -> Result<DmaRegion, AttachError> {
        let slot = self.idle_stream(id)?;
        if self.since(slot) != Some(since) {
            return Err(AttachError::UnknownStream);
        }
        self.state.pending.drop_device(slot);
        self.state
            .streams
            .get_mut(slot)
            .and_then(Option::take)
            .map(|stream| stream.contexts.into_region())
            .ok_or(AttachError::UnknownStream)
    }

    fn since(&self, slot: usize) -> Option<u64> {
        Some(self.state.streams.get(slot)?.as_ref()?.since)
    }

    /// The slot of a stream without bindings.
    fn idle_stream(&self, id: StreamId) -> Result<usize, AttachError> {
        let slot = self
            .state
            .stream_slot(id)
            .ok_or(AttachError::UnknownStream)?;
        if self.state.is_bound(slot) {
            Err(AttachError::InUse)
        } else {
            Ok(slot)
        }
    }
}
