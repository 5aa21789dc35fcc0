//! Translation caches, as CPUs and IOMMUs have them: leaf entries with their rights, and walk caches of every level.

mod entry;
mod power;
mod scope;

pub(crate) use entry::{Context, Entry, Regime, Says, Tag};
pub(crate) use power::{PowerScope, Reach, SETS};
pub(crate) use scope::{Addresses, Pages, Scope, WalkCaches, X86Scope};

use crate::chooser::Chooser;
use crate::memory::descriptor::Leaf;
use crate::memory::walk::{Start, Step, Walk};
use crate::memory::{Memory, Owner};
use crate::oracle::{Holder, Oracle};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The caches of one observer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tlb {
    entries: Vec<Entry>,
    /// The tree that was last walked under each tag, and who owned its root.
    trees: BTreeMap<Tag, (u64, Option<Owner>)>,
}

impl Tlb {
    /// The leaf entry that serves this address. Of several the oldest: stale ones are hit for as long as they are there.
    pub(crate) fn leaf(&self, context: &Context, va: u64) -> Option<(Entry, Leaf)> {
        self.entries
            .iter()
            .filter(|entry| entry.serves(context, va))
            .find_map(|entry| match entry.says {
                Says::Leaf(leaf) => Some((*entry, leaf)),
                Says::Table(_) => None,
            })
    }

    /// The deepest table that a walk for this address may start from.
    pub(crate) fn table(&self, context: &Context, va: u64) -> Option<(Entry, Start)> {
        let starts = self.entries.iter().filter_map(|entry| match entry.says {
            Says::Table(table) if entry.serves(context, va) => Some((
                *entry,
                Start {
                    format: context.root.format,
                    level: entry.from.level + 1,
                    table,
                },
            )),
            _ => None,
        });
        starts.max_by_key(|(_, start)| start.level)
    }

    /// Caches everything that a walk met and may be cached. What is there already stays. False where the page is there in another size
    /// now as well.
    pub(crate) fn fill(
        &mut self,
        context: &Context,
        va: u64,
        walk: &Walk,
        memory: &Memory,
    ) -> bool {
        for &(step, table) in &walk.tables {
            let shift = context.root.format.shift(step.level);
            self.insert(context, va, shift, step, Says::Table(table), memory);
        }
        // An entry without the access flag is never cached (Arm ARM D8.5).
        if let Some((step, leaf)) = walk.leaf
            && leaf.accessed
        {
            let is_alone = !self.has_another_size(context, va, leaf.shift);
            self.insert(context, va, leaf.shift, step, Says::Leaf(leaf), memory);
            return is_alone;
        }
        true
    }

    /// Whether some part of the page of this size is cached in another size.
    fn has_another_size(&self, context: &Context, va: u64, shift: u8) -> bool {
        let first = va & !((1 << shift) - 1);
        let last = first | ((1 << shift) - 1);
        let mut entries = self.entries.iter();
        entries.any(|entry| {
            let is_leaf = matches!(entry.says, Says::Leaf(_));
            is_leaf && entry.shift != shift && entry.meets(context, first, last)
        })
    }

    fn insert(
        &mut self,
        context: &Context,
        va: u64,
        shift: u8,
        from: Step,
        says: Says,
        memory: &Memory,
    ) {
        let mut entry = Entry {
            context: *context,
            global: matches!(says, Says::Leaf(leaf) if leaf.global),
            va: va & !((1 << shift) - 1),
            shift,
            says,
            from,
            owner: None,
            space: memory.frames.owner(context.root.table),
        };
        entry.owner = memory.frames.owner(entry.leads_to());
        let same = |old: &Entry| {
            old.from.level == from.level && old.va == entry.va && old.serves(context, entry.va)
        };
        if !self.entries.iter().any(same) {
            self.entries.push(entry);
        }
    }

    /// A tree is walked under its tag. True where the tag was another tree's, and something of that is still here.
    pub(crate) fn is_handed_over_dirty(&mut self, context: &Context, memory: &Memory) -> bool {
        let root = context.root.table;
        let (tag, tree) = (context.tag(), (root, memory.frames.owner(root)));
        if self.trees.insert(tag, tree) == Some(tree) {
            return false;
        }
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.context.tag() == tag && !entry.is_of(root, memory))
    }

    /// Under which tags the tree of this root was walked last.
    pub(crate) fn tags_of(&self, root: u64) -> impl Iterator<Item = Tag> + '_ {
        let of_root = self.trees.iter().filter(move |(_, tree)| tree.0 == root);
        of_root.map(|(tag, _)| *tag)
    }

    /// Caches what another cache has.
    pub(crate) fn keep(&mut self, entry: Entry) {
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
    }

    /// Removes what the scope covers, and hands it out.
    pub(crate) fn take(&mut self, scope: &Scope) -> Vec<Entry> {
        let (taken, kept) = self.entries.iter().partition(|entry| scope.covers(entry));
        self.entries = kept;
        taken
    }

    /// Removes what the scope covers, as an invalidation that software asked for.
    pub(crate) fn obey(&mut self, scope: &Scope, holder: Holder, oracle: &mut Oracle) {
        self.entries.retain(|entry| {
            let goes = scope.covers(entry);
            if goes {
                oracle.dropped(holder, entry);
            }
            !goes
        });
    }

    /// Removes what the scope covers.
    pub(crate) fn invalidate(&mut self, scope: &Scope) {
        self.retain(|entry| !scope.covers(entry));
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(keep);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Drops any entry, now and then, as any cache may at any time.
    pub(crate) fn evict_one(&mut self, chooser: &mut Chooser) {
        if !self.entries.is_empty() && chooser.unasked(16) {
            let victim = chooser.any(self.entries.len());
            self.entries.remove(victim);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}
