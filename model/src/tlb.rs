//! Translation caches, as CPUs and IOMMUs have them: leaf entries with their rights, and walk caches of every level.

mod power;

pub(crate) use power::{PowerScope, Reach, SETS};

use crate::chooser::Chooser;
use crate::memory::descriptor::Leaf;
use crate::memory::walk::{Start, Step, Walk};
use crate::memory::{Memory, Owner};
use alloc::vec::Vec;

/// The translation regime that tags an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Regime {
    /// EL1&0.
    El1,
    /// EL2&0, that is, EL2 with E2H.
    El2,
    /// First-stage translations of a domain of a VT-d unit; the ASID is a PASID.
    Vtd {
        /// DID.
        domain: u16,
    },
    /// Host translations of a domain of an AMD IOMMU.
    AmdHost {
        /// DomainID.
        domain: u16,
    },
    /// Guest translations of one of its PASIDs.
    AmdGuest {
        /// DomainID.
        domain: u16,
        /// The PASID.
        pasid: u32,
    },
    /// x86-64 CPUs.
    X86,
    /// POWER CPUs and nest MMUs, process-scoped; the ASID is a PID.
    Power,
}

/// What entries are tagged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) regime: Regime,
    /// An ASID, a PCID, a PID, or a PASID.
    pub(crate) asid: u32,
    /// An SMMU context with ASET = 1: broadcasts by ASID need not reach it (SMMUv3 3.17).
    pub(crate) private: bool,
    /// The table that walks start from.
    pub(crate) root: Start,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// The next table is there.
    Table(u64),
    /// The translation ends here.
    Leaf(Leaf),
}

/// One cached descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) context: Context,
    /// Leaf entries with nG clear serve every ASID.
    pub(crate) global: bool,
    pub(crate) va: u64,
    /// log2 of the bytes covered.
    pub(crate) shift: u8,
    pub(crate) says: Says,
    /// The descriptor that was cached.
    pub(crate) from: Step,
    /// Who owned the memory that the entry leads to when it was cached.
    pub(crate) owner: Option<Owner>,
}

impl Entry {
    pub(crate) fn last(&self) -> u64 {
        self.va | ((1 << self.shift) - 1)
    }

    pub(crate) fn leads_to(&self) -> u64 {
        match self.says {
            Says::Table(table) => table,
            Says::Leaf(leaf) => leaf.pa,
        }
    }

    fn serves(&self, context: &Context, va: u64) -> bool {
        let tag = self.context.regime == context.regime
            && (self.global || self.context.asid == context.asid)
            && self.context.private == context.private;
        tag && self.va <= va && va <= self.last()
    }
}

/// Which entries an invalidation is bound to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every entry of every regime.
    Everything,
    /// Every entry of one regime.
    Regime(Regime),
    /// Entries of one ASID; global ones stay.
    Asid(Regime, u32),
    /// Entries by address.
    Addresses(Addresses),
    /// What the instructions of x86-64 remove.
    X86(X86Scope),
    /// What the invalidations of POWER remove.
    Power(PowerScope),
}

/// What one instruction of x86-64 is bound to remove. Whatever it may remove beside that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct X86Scope {
    /// Nothing: of every PCID. Global entries have none.
    pub(crate) pcid: Option<u32>,
    /// Nothing: at every address.
    pub(crate) pages: Option<Pages>,
    pub(crate) globals: bool,
    pub(crate) walk_caches: WalkCaches,
}

/// Addresses that are a stride apart: each removes what translates it, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) stride: u64,
}

/// Which walk caches of the PCID go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalkCaches {
    None,
    /// Those that translate one of the addresses.
    OfPages,
    All,
}

impl Pages {
    fn hit(&self, entry: &Entry) -> bool {
        let mut all = (0..self.count).map(|n| self.first.wrapping_add(n * self.stride));
        all.any(|va| entry.va <= va && va <= entry.last())
    }
}

impl X86Scope {
    fn covers(&self, entry: &Entry) -> bool {
        let of_pcid = self.pcid.is_none_or(|pcid| pcid == entry.context.asid);
        let of_pages = self.pages.is_none_or(|pages| pages.hit(entry));
        let goes = match (entry.says, self.walk_caches) {
            (Says::Leaf(_), _) if entry.global => self.globals && of_pages,
            (Says::Leaf(_), _) => of_pcid && of_pages,
            (Says::Table(_), WalkCaches::None) => false,
            (Says::Table(_), WalkCaches::OfPages) => of_pcid && of_pages,
            (Says::Table(_), WalkCaches::All) => of_pcid,
        };
        entry.context.regime == Regime::X86 && goes
    }
}

/// An invalidation by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) regime: Regime,
    /// Nothing: of every ASID.
    pub(crate) asid: Option<u32>,
    pub(crate) first: u64,
    /// The last byte.
    pub(crate) last: u64,
    /// Walk caches stay.
    pub(crate) leaf_only: bool,
    /// The level hint. Leaf entries of other levels stay, and so do tables that no leaf of that level hangs under.
    pub(crate) level: Option<i8>,
}

impl Addresses {
    fn covers(&self, entry: &Entry) -> bool {
        let tag = entry.context.regime == self.regime
            && (entry.global || self.asid.is_none_or(|asid| asid == entry.context.asid));
        tag && entry.va <= self.last && self.first <= entry.last() && self.reaches(entry)
    }

    fn reaches(&self, entry: &Entry) -> bool {
        let level = entry.from.level;
        match entry.says {
            Says::Leaf(_) => self.level.is_none_or(|hint| hint == level),
            Says::Table(_) => !self.leaf_only && self.level.is_none_or(|hint| level < hint),
        }
    }
}

impl Scope {
    pub(crate) fn covers(&self, entry: &Entry) -> bool {
        match self {
            Self::Everything => true,
            Self::Regime(regime) => entry.context.regime == *regime,
            Self::Asid(regime, asid) => {
                entry.context.regime == *regime && entry.context.asid == *asid && !entry.global
            }
            Self::Addresses(addresses) => addresses.covers(entry),
            Self::X86(scope) => scope.covers(entry),
            Self::Power(scope) => scope.covers(entry),
        }
    }
}

/// The caches of one observer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tlb {
    entries: Vec<Entry>,
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

    /// Caches everything that a walk met and may be cached. What is there already stays.
    pub(crate) fn fill(&mut self, context: &Context, va: u64, walk: &Walk, memory: &Memory) {
        for &(step, table) in &walk.tables {
            let shift = context.root.format.shift(step.level);
            self.insert(context, va, shift, step, Says::Table(table), memory);
        }
        // An entry without the access flag is never cached (Arm ARM D8.5).
        if let Some((step, leaf)) = walk.leaf
            && leaf.accessed
        {
            self.insert(context, va, leaf.shift, step, Says::Leaf(leaf), memory);
        }
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
        };
        entry.owner = memory.frames.owner(entry.leads_to());
        let same = |old: &Entry| {
            old.from.level == from.level && old.va == entry.va && old.serves(context, entry.va)
        };
        if !self.entries.iter().any(same) {
            self.entries.push(entry);
        }
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

    /// Removes what the scope covers.
    pub(crate) fn invalidate(&mut self, scope: &Scope) {
        self.retain(|entry| !scope.covers(entry));
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
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
