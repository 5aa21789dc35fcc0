//! The nest MMU: a TLB tagged by PID, which reads the process table once for each.

use super::options::LinkOptions;
use crate::ground::Ground;
use crate::memory::Memory;
use crate::memory::descriptor::{Kind, Leaf, Rights};
use crate::oracle::{Holder, Oracle, Violation};
use crate::tlb::{Addresses, Context, Entry, PowerScope, Reach, Regime, Says, Scope, Tlb};
use alloc::collections::BTreeMap;

/// One nest MMU.
#[derive(Debug, Default)]
pub(super) struct NestMmu {
    pub(super) tlb: Tlb,
    /// Process-table entries that were read once.
    roots: BTreeMap<u32, u64>,
}

impl NestMmu {
    /// An invalidation, heard or commanded.
    pub(super) fn heed(
        &mut self,
        scope: &PowerScope,
        options: &LinkOptions,
        holder: Holder,
        oracle: &mut Oracle,
    ) {
        let is_whole = scope.reach == Reach::Everywhere && !scope.walk_caches;
        if !(is_whole && options.walk_caches_keep_pages) {
            self.tlb.obey(&Scope::Power(*scope), holder, oracle);
        }
        if scope.process_table {
            self.roots.retain(|pid, _| !scope.is_about(*pid));
        }
    }

    /// What translates an address of a process; nothing where there is no translation.
    pub(super) fn translate(
        &mut self,
        pid: u32,
        va: u64,
        write: bool,
        options: &LinkOptions,
        holder: Holder,
        ground: &mut Ground,
    ) -> Option<(Entry, Leaf)> {
        let context = self.context(pid, options, ground)?;
        let lacks = |(_, leaf): (Entry, Leaf)| write && leaf.rights == Rights::ReadOnly;
        if !options.believes_its_rights && self.tlb.leaf(&context, va).is_some_and(lacks) {
            self.tlb.invalidate(&leaf_at(pid, va));
        }
        let found = self.tlb.look_up(holder, &context, va, ground).ok()?;
        let today = ground.processes.get(&pid);
        if today.is_some_and(|root| *root != found.0.context.root.table) {
            ground.oracle.report(Violation::UsedForeign { holder, va });
        }
        Some(found)
    }

    fn context(&mut self, pid: u32, options: &LinkOptions, ground: &Ground) -> Option<Context> {
        let table = match self.roots.get(&pid) {
            Some(&root) => root,
            None => *ground.processes.get(&pid)?,
        };
        self.roots.insert(pid, table);
        Some(Context::of_process(pid, table, options.pages_64k))
    }

    /// Whether something is cached under a PID that is not of the tree that begins there.
    pub(super) fn holds_of_pid(&self, pid: u32, root: u64, memory: &Memory) -> bool {
        let reads_old = self.roots.get(&pid).is_some_and(|read| *read != root);
        let mut entries = self.tlb.iter();
        reads_old || entries.any(|entry| entry.context.asid == pid && !entry.is_of(root, memory))
    }

    /// The address of the entry that is held and was read from here, if what is stored now gives it a right that it lacks.
    pub(super) fn widened(&self, at: u64, stored: Kind) -> Option<u64> {
        let Kind::Leaf(today) = stored else {
            return None;
        };
        let lacks = |entry: &&Entry| match entry.says {
            Says::Leaf(held) => {
                entry.from.at == at && held.pa == today.pa && held.rights < today.rights
            }
            Says::Table(_) => false,
        };
        self.tlb.iter().find(lacks).map(|entry| entry.va)
    }
}

/// The leaf entries that translate one address.
fn leaf_at(pid: u32, va: u64) -> Scope {
    Scope::Addresses(Addresses {
        regime: Regime::Power,
        asid: Some(pid),
        first: va,
        last: va,
        leaf_only: true,
        level: None,
        whole: false,
    })
}
