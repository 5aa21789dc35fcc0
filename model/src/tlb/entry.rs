//! What is cached, and what it is tagged with.

use crate::memory::descriptor::Leaf;
use crate::memory::walk::{Start, Step};
use crate::memory::{Memory, Owner};

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

/// What tells the entries of one address space from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) regime: Regime,
    pub(crate) asid: u32,
    pub(crate) private: bool,
}

impl Tag {
    /// The identifier that software knows.
    pub(crate) fn id(&self) -> u32 {
        match self.regime {
            Regime::AmdGuest { pasid, .. } => pasid,
            Regime::AmdHost { domain } => domain.into(),
            _ => self.asid,
        }
    }
}

impl Context {
    pub(crate) fn tag(&self) -> Tag {
        Tag {
            regime: self.regime,
            asid: self.asid,
            private: self.private,
        }
    }
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
    /// Who owned the root that the walk began at: another tree may begin in the same frame later.
    pub(crate) space: Option<Owner>,
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

    /// Whether it is of the tree that begins there now. What is global is of every tree.
    pub(crate) fn is_of(&self, root: u64, memory: &Memory) -> bool {
        let is_same = self.context.root.table == root && self.space == memory.frames.owner(root);
        self.global || is_same
    }

    pub(super) fn serves(&self, context: &Context, va: u64) -> bool {
        self.meets(context, va, va)
    }

    /// Whether it serves some address of a range.
    pub(super) fn meets(&self, context: &Context, first: u64, last: u64) -> bool {
        let tag = self.context.regime == context.regime
            && (self.global || self.context.asid == context.asid)
            && self.context.private == context.private;
        tag && self.va <= last && first <= self.last()
    }
}
