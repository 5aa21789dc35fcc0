//! The GCR3 table (AMD 48882, "Guest CR3 Table"): from PASIDs to the roots of page tables. What was found is cached until the whole PASID
//! is invalidated, directories included.

use super::device_table::Entry;
use crate::memory::Memory;
use alloc::collections::BTreeMap;

/// The roots that are cached, by domain and PASID.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    cached: BTreeMap<(u16, u32), Option<u64>>,
}

/// Bit 0, V; bits 51:12, the next table or the root. All others are reserved.
const VALID: u64 = 1;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Roots {
    pub(super) fn forget(&mut self, domain: u16, pasid: u32) {
        self.cached.remove(&(domain, pasid));
    }

    pub(super) fn clear(&mut self) {
        self.cached.clear();
    }

    /// The root of a PASID, from the cache or from the table.
    pub(super) fn root(
        &mut self,
        entry: &Entry,
        pasid: u32,
        caches_absent: bool,
        memory: &Memory,
    ) -> Option<u64> {
        let key = (entry.domain, pasid);
        if let Some(cached) = self.cached.get(&key) {
            return *cached;
        }
        let found = find(entry, pasid, memory);
        if found.is_some() || caches_absent {
            self.cached.insert(key, found);
        }
        found
    }
}

/// Nine bits of the PASID for each level.
fn find(entry: &Entry, pasid: u32, memory: &Memory) -> Option<u64> {
    let levels = u32::from(entry.gcr3_levels);
    if levels > 3 || u64::from(pasid) >> (9 * levels) != 0 {
        return None;
    }
    let mut table = entry.gcr3;
    for level in (0..levels).rev() {
        let index = u64::from(pasid >> (9 * level) & 0x1ff);
        let raw = memory.device_read(table + index * 8)?;
        if raw & VALID == 0 || raw & !(VALID | ADDRESS) != 0 {
            return None;
        }
        table = raw & ADDRESS;
    }
    Some(table)
}
