//! Loads and stores through a CPU's own TLB.

use crate::memory::descriptor::{Leaf, Rights};
use crate::memory::walk::walk;
use crate::oracle::{Holder, Violation};
use crate::tlb::{Context, Entry};
use crate::world::World;
use core::fmt;

/// Why a CPU refused an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no translation.
    Translation,
    /// The access flag is clear.
    AccessFlag,
    /// The entry, cached or not, does not allow it.
    Permission,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Translation => "translation fault",
            Self::AccessFlag => "access-flag fault",
            Self::Permission => "permission fault",
        })
    }
}

impl core::error::Error for Fault {}

impl World {
    /// Translates one access, as the caches have it.
    pub(crate) fn translate(&mut self, cpu: usize, va: u64, write: bool) -> Result<u64, Fault> {
        let translated = self.look_up(cpu, va, write);
        if translated.is_err() {
            self.cpus[cpu].drop_faulting(va);
        }
        translated
    }

    /// A cached entry is believed, its rights included (Arm ARM D8.13: a permission fault may be
    /// taken from a cached entry); nothing is walked again before the fault is taken.
    fn look_up(&mut self, cpu: usize, va: u64, write: bool) -> Result<u64, Fault> {
        self.trickle();
        self.disturb(cpu);
        let context = self.cpus[cpu].context(va).ok_or(Fault::Translation)?;
        let hit = self.cpus[cpu].cached(&context, va);
        let (entry, leaf) = match hit {
            Some(hit) => hit,
            None => self.fill(cpu, &context, va)?,
        };
        self.ground
            .oracle
            .used(Holder::Cpu(cpu), &entry, va, &self.ground.memory);
        if self.cpus[cpu].is_foreign(&entry, &context, &self.ground.memory) {
            let holder = Holder::Cpu(cpu);
            self.ground
                .oracle
                .report(Violation::UsedForeign { holder, va });
        }
        if let Some(power) = &mut self.cpus[cpu].power {
            power.keep_in_erat(entry);
        }
        if write && leaf.rights == Rights::ReadOnly {
            return Err(Fault::Permission);
        }
        if write && !leaf.dirty && !self.mark(cpu, &entry, &leaf)? {
            return self.look_up(cpu, va, write);
        }
        let offset = (1 << entry.shift) - 1;
        Ok(leaf.pa & !offset | va & offset)
    }

    fn fill(&mut self, cpu: usize, context: &Context, va: u64) -> Result<(Entry, Leaf), Fault> {
        self.walk_and_fill(cpu, context, va);
        match self.cpus[cpu].tlb.leaf(context, va) {
            Some(hit) => Ok(hit),
            None => Err(self.why_not(cpu, context, va)),
        }
    }

    /// Walks from the deepest table that is cached, and caches what is met.
    pub(crate) fn walk_and_fill(&mut self, cpu: usize, context: &Context, va: u64) {
        let holder = Holder::Cpu(cpu);
        if let Some(power) = &mut self.cpus[cpu].power {
            power.remember_root(va);
        }
        let cached = self.cpus[cpu].tlb.table(context, va);
        let (memory, oracle) = (&self.ground.memory, &mut self.ground.oracle);
        if let Some((entry, _)) = &cached {
            oracle.used(holder, entry, va, memory);
        }
        let start = cached.map_or(context.root, |(_, start)| start);
        let stores = &self.cpus[cpu].stores;
        let seen = |at| Some(stores.walker(at).unwrap_or_else(|| memory.read(at)));
        let found = walk(start, va, seen);
        for &(_, table) in &found.tables {
            if memory.frames.owner(table).is_none() {
                oracle.report(Violation::WalkedFreed { holder, pa: table });
            }
        }
        let is_alone = self.cpus[cpu].tlb.fill(context, va, &found, memory);
        if !is_alone && !self.cpus[cpu].features.resizes {
            oracle.report(Violation::SizesConflict { holder, va });
        }
    }

    fn why_not(&self, cpu: usize, context: &Context, va: u64) -> Fault {
        let start = self.cpus[cpu].tlb.table(context, va);
        let start = start.map_or(context.root, |(_, start)| start);
        let memory = &self.ground.memory;
        match walk(start, va, |at| Some(memory.read(at))).leaf {
            Some(_) => Fault::AccessFlag,
            None => Fault::Translation,
        }
    }
}
