//! How an IOMMU finds a translation: in its TLB, stale or not, else by a walk that fills it.

use crate::ground::Ground;
use crate::memory::Memory;
use crate::memory::descriptor::Leaf;
use crate::memory::walk::walk;
use crate::oracle::{Holder, Violation};
use crate::tlb::{Context, Entry, Tlb};

/// There is no translation to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The walk met an invalid entry, or memory that does not answer.
    NotPresent,
    /// The leaf lacks the access flag, and is not cached.
    NotAccessed,
}

impl Tlb {
    /// Looks up `va`, and walks where nothing is cached. The oracle judges every entry that is used.
    pub(crate) fn look_up(
        &mut self,
        holder: Holder,
        context: &Context,
        va: u64,
        ground: &mut Ground,
    ) -> Result<(Entry, Leaf), Missing> {
        let read = |at, memory: &Memory| memory.device_read(at);
        self.look_up_by(read, holder, context, va, ground)
    }

    /// The same, where the walker sees memory by `read`.
    pub(crate) fn look_up_by(
        &mut self,
        read: impl FnMut(u64, &Memory) -> Option<u64>,
        holder: Holder,
        context: &Context,
        va: u64,
        ground: &mut Ground,
    ) -> Result<(Entry, Leaf), Missing> {
        if self.is_handed_over_dirty(context, &ground.memory) {
            let id = context.tag().id();
            ground.oracle.report(Violation::ReusedDirty { holder, id });
        }
        if let Some((entry, leaf)) = self.leaf(context, va) {
            ground.oracle.used(holder, &entry, va, &ground.memory);
            if !entry.is_of(context.root.table, &ground.memory) {
                ground.oracle.report(Violation::UsedForeign { holder, va });
            }
            return Ok((entry, leaf));
        }
        let accessed = self.walk(read, holder, context, va, ground);
        self.leaf(context, va).ok_or(match accessed {
            Some(false) => Missing::NotAccessed,
            _ => Missing::NotPresent,
        })
    }

    /// Walks and caches; says whether there is a leaf, and whether it has the access flag.
    fn walk(
        &mut self,
        mut read: impl FnMut(u64, &Memory) -> Option<u64>,
        holder: Holder,
        context: &Context,
        va: u64,
        ground: &mut Ground,
    ) -> Option<bool> {
        let memory = &ground.memory;
        let cached = self.table(context, va);
        if let Some((entry, _)) = &cached {
            ground.oracle.used(holder, entry, va, memory);
        }
        let start = cached.map_or(context.root, |(_, start)| start);
        let found = walk(start, va, |at| read(at, memory));
        for table in found
            .tables
            .iter()
            .map(|&(_, table)| table)
            .chain([start.table])
        {
            if memory.frames.owner(table).is_none() {
                ground
                    .oracle
                    .report(Violation::WalkedFreed { holder, pa: table });
            }
        }
        if !self.fill(context, va, &found, memory) {
            let conflict = Violation::SizesConflict { holder, va };
            ground.oracle.report(conflict);
        }
        found.leaf.map(|(_, leaf)| leaf.accessed)
    }
}
