//! The registers and caches of one CPU beside its TLB.

use super::flight::Flight;
use super::store_queue::StoreQueue;
use crate::memory::Memory;
use crate::tlb::{Addresses, Context, Entry, PowerScope, Regime, Scope, Tlb};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The level of the ISA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 3.0: `tlbiel` names one congruence class of the TLB.
    V3_0,
    /// 3.1: `tlbiel` reaches them all, and a COPY keeps its translation until it is pasted or aborted.
    V3_1,
}

/// What the kernel is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// MSR.HV = 1: everything, under LPID 0.
    Hypervisor,
    /// LPCR.GTSE = 1: `tlbie` and `tlbsync` of what is process-scoped.
    Guest,
    /// LPCR.GTSE = 0: `tlbiel` alone.
    GuestWithoutTlbie,
}

/// What a CPU has, what its kernel is allowed, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuFeatures {
    /// The processor version register.
    pub pvr: u32,
    /// The level of the ISA.
    pub level: Level,
    /// What the kernel is allowed.
    pub role: Role,
    /// The last level of the trees maps 64 KiB.
    pub pages_64k: bool,
    /// `tlbie` leaves what the ERAT holds, unless a `ptesync` and a `tlbie` of PID 0 follow.
    pub erat_defect: bool,
    /// `tlbie` does not wait for stores that other CPUs have translated and not performed, unless a `ptesync` and another `tlbie` of
    /// the PID follow.
    pub store_queue_defect: bool,
}

impl CpuFeatures {
    /// A POWER9 DD2.2 as hypervisor, with both defects.
    pub const POWER9: Self = Self {
        pvr: 0x004e_1202,
        level: Level::V3_0,
        role: Role::Hypervisor,
        pages_64k: false,
        erat_defect: true,
        store_queue_defect: true,
    };
    /// A POWER10 DD2.0 as hypervisor.
    pub const POWER10: Self = Self {
        pvr: 0x0080_0200,
        level: Level::V3_1,
        erat_defect: false,
        store_queue_defect: false,
        ..Self::POWER9
    };

    /// The same under a kernel that is allowed this.
    pub const fn as_a(self, role: Role) -> Self {
        Self { role, ..self }
    }
}

/// Registers, and what the CPU remembers beside its TLB.
#[derive(Clone, Debug)]
pub(in crate::cpu) struct State {
    pub(super) features: CpuFeatures,
    pub(super) pid: u32,
    /// Where the process table says that the PID's tree begins.
    pub(super) root: Option<u64>,
    /// The PID is loaded for nobody: nothing here accesses user addresses.
    pub(in crate::cpu) is_lazy: bool,
    /// Process-table entries that were read once, by PID.
    pub(super) process_table: BTreeMap<u32, u64>,
    /// Effective to real: user translations in front of the TLB.
    pub(in crate::cpu) erat: Tlb,
    /// SLBIA has been executed and no context synchronisation since.
    pub(super) erat_going: bool,
    pub(super) flights: Vec<Flight>,
    pub(super) store_queue: StoreQueue,
    /// What a COPY translated that was neither pasted nor aborted.
    pub(super) copied: Option<Entry>,
}

/// EA bits 0:1 select the quadrant: 0 is the process', 3 the kernel's, whose PID is 0 (Power ISA 3.1B Book III 6.7.10).
const QUADRANT: u32 = 62;
/// EA bits 2:11 are zero in a tree of 52 bits; others are a segment interrupt.
const UNTRANSLATED: u64 = 0x3ff << 52;

impl State {
    pub(in crate::cpu) fn new(features: CpuFeatures) -> Self {
        Self {
            features,
            pid: 0,
            root: None,
            is_lazy: false,
            process_table: BTreeMap::new(),
            erat: Tlb::default(),
            erat_going: false,
            flights: Vec::new(),
            store_queue: StoreQueue::default(),
            copied: None,
        }
    }

    /// The tables that translate this address now. A process-table entry that was read once is not read again.
    pub(in crate::cpu) fn context(&self, va: u64, kernel_root: Option<u64>) -> Option<Context> {
        let remembered = self.process_table.get(&self.pid).copied();
        let (pid, root) = match va >> QUADRANT {
            _ if va & UNTRANSLATED != 0 => return None,
            0 => (self.pid, self.root.map(|root| remembered.unwrap_or(root))),
            3 => (0, kernel_root),
            _ => return None,
        };
        root.map(|root| Context::of_process(pid, root, self.features.pages_64k))
    }

    /// A walk for the process reads its process-table entry.
    pub(in crate::cpu) fn remember_root(&mut self, va: u64) {
        if let (0, Some(root)) = (va >> QUADRANT, self.root) {
            self.process_table.entry(self.pid).or_insert(root);
        }
    }

    /// Whether an entry that was hit is another space's than the one that the kernel loaded.
    pub(in crate::cpu) fn is_foreign(&self, entry: &Entry, memory: &Memory) -> bool {
        let is_of = |root| entry.is_of(root, memory);
        entry.va >> QUADRANT == 0 && !self.root.is_some_and(is_of)
    }

    /// Whether the process-table entry that was read for a PID leads elsewhere.
    pub(in crate::cpu) fn reads_old(&self, pid: u32, root: u64) -> bool {
        let read = self.process_table.get(&pid);
        read.is_some_and(|read| *read != root)
    }

    pub(in crate::cpu) fn erat(&self) -> &Tlb {
        &self.erat
    }

    /// What was translated for the process is kept in front.
    pub(in crate::cpu) fn keep_in_erat(&mut self, entry: Entry) {
        if entry.va >> QUADRANT == 0 {
            self.erat.keep(entry);
        }
    }

    /// Everything held beside the TLB that the oracle judges.
    pub(in crate::cpu) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let queued = self.store_queue.entries();
        self.erat.iter().chain(queued).chain(&self.copied)
    }

    pub(in crate::cpu) fn has_in_flight(&self) -> bool {
        !self.flights.is_empty()
    }

    pub(in crate::cpu) fn in_flight(&self) -> impl Iterator<Item = Scope> + '_ {
        self.flights.iter().map(|flight| Scope::Power(flight.scope))
    }

    /// After an access fault the entry is loaded again (Power ISA 3.1B Book III 6.7.10): what it was caused by is gone. What leads to
    /// it stays.
    pub(in crate::cpu) fn faulting(&self, va: u64) -> Scope {
        let pid = if va >> QUADRANT == 0 { self.pid } else { 0 };
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

    pub(super) fn forget_roots(&mut self, scope: &PowerScope) {
        if scope.process_table {
            self.process_table.retain(|pid, _| !scope.is_about(*pid));
        }
    }
}
