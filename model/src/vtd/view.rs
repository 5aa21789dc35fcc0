//! Memory as the unit's walkers see it.

use super::options::VtdOptions;
use crate::memory::Memory;
use alloc::collections::BTreeMap;

/// Stores may be held up on their way to the unit (CAP.RWBF), or stay in CPU caches (ECAP.C clear).
#[derive(Debug, Default)]
pub(super) struct View {
    coherent: bool,
    buffered: bool,
    /// What the unit has read since the write buffer was flushed: later stores to it are still in the buffer.
    seen: BTreeMap<u64, u64>,
}

impl View {
    pub(super) fn new(options: &VtdOptions) -> Self {
        Self {
            coherent: options.coherent,
            buffered: options.write_buffer,
            seen: BTreeMap::new(),
        }
    }

    /// The word at `pa`; nothing where no memory answers.
    pub(super) fn read(&mut self, pa: u64, memory: &Memory) -> Option<u64> {
        let now = if self.coherent {
            memory.device_read(pa)?
        } else {
            memory.uncached_read(pa)?
        };
        if self.buffered {
            Some(*self.seen.entry(pa).or_insert(now))
        } else {
            Some(now)
        }
    }

    /// The write buffer is flushed: by GCMD.WBF, and by every invalidation of what is cached from tables (6.8).
    pub(super) fn flush(&mut self) {
        self.seen.clear();
    }
}
