//! Everything that one machine consists of, behind one lock.

use crate::amd;
use crate::cpu::Cpu;
use crate::ground::Ground;
use crate::memory::Format;
use crate::memory::descriptor::Kind;
use crate::ocxl::Link;
use crate::oracle::{Holder, Span, Violation, breaks};
use crate::smmuv3::Smmu;
use crate::tlb::{Entry, Scope};
use crate::vtd::Vtd;
use alloc::vec::Vec;

/// The machine.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) ground: Ground,
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) smmus: Vec<Smmu>,
    pub(crate) amds: Vec<amd::Iommu>,
    pub(crate) vtds: Vec<Vtd>,
    pub(crate) links: Vec<Link>,
    /// A platform counts who is pinned, so invalidations by a task that is not are violations.
    pub(crate) demands_pins: bool,
}

impl World {
    /// Time passes: stores and invalidations may arrive, and every IOMMU does a piece of work.
    pub(crate) fn step(&mut self) {
        self.trickle();
        for smmu in &mut self.smmus {
            smmu.step(&mut self.ground);
        }
        for amd in &mut self.amds {
            amd.step(&mut self.ground);
        }
        for vtd in &mut self.vtds {
            vtd.step(&mut self.ground);
        }
        for link in &mut self.links {
            link.step(&mut self.ground);
        }
    }

    /// A kernel replaces one entry by another in one store. Tables that no CPU walks are devices' copies, and follow the CPUs' own.
    pub(crate) fn judge_store(&mut self, format: Format, va: u64, old: Kind, new: Kind) {
        let resizes = self.cpus.iter().all(|cpu| cpu.features.resizes);
        let is_walked = self.cpus.iter().any(|cpu| cpu.walks(format));
        if is_walked && breaks(format, resizes, old, new) {
            self.ground.oracle.report(Violation::BreakSkipped { va });
        }
    }

    /// A broadcast as the IOMMUs see it.
    pub(crate) fn snoop(&mut self, scope: &Scope) {
        let oracle = &mut self.ground.oracle;
        for smmu in &mut self.smmus {
            smmu.snoop(scope, oracle);
        }
        for link in &mut self.links {
            link.snoop(scope, oracle);
        }
    }

    /// A kernel stores a descriptor: nest MMUs that cannot follow a widening in place are asked whether they hold it.
    pub(crate) fn watch_tables(&mut self, format: Format, level: i8, at: u64, raw: u64) {
        for link in &self.links {
            if let Some(violation) = link.watch(format, level, at, raw) {
                self.ground.oracle.report(violation);
            }
        }
    }

    /// Every flush of this range has returned: whoever was asked for one has done it.
    pub(crate) fn settled(&mut self, range: Span) {
        let memory = &self.ground.memory;
        let smmus = self.smmus.iter().map(|smmu| smmu.owes(&range, memory));
        let amds = self.amds.iter().map(|amd| amd.owes(&range, memory));
        let vtds = self.vtds.iter().map(|vtd| vtd.owes(&range, memory));
        let links = self.links.iter().map(|link| link.owes(&range));
        let owing = smmus.chain(amds).chain(vtds).chain(links);
        let owing: Vec<_> = owing.chain([self.cpu_owes(&range)]).flatten().collect();
        for holder in owing {
            let va = range.first;
            let lost = Violation::LostRequest { holder, va };
            self.ground.oracle.report(lost);
        }
    }

    /// Every entry that is held and must not be.
    pub(crate) fn held(&self) -> Vec<Violation> {
        let memory = &self.ground.memory;
        let oracle = &self.ground.oracle;
        self.entries()
            .filter(|(holder, entry)| oracle.forbids(*holder, entry, memory))
            .map(|(holder, entry)| Violation::HeldStale {
                holder,
                va: entry.va,
            })
            .collect()
    }

    /// Somebody who holds an entry that leads to this frame and is no older than its owner.
    pub(crate) fn holder_of(&self, pa: u64) -> Option<Holder> {
        let owner = self.ground.memory.frames.owner(pa)?;
        let leads_there = |entry: &Entry| entry.owner == Some(owner);
        let mut entries = self.entries();
        let found = entries.find(|(_, entry)| leads_there(entry));
        found.map(|(holder, _)| holder)
    }

    fn entries(&self) -> impl Iterator<Item = (Holder, &Entry)> {
        let cpus = self.cpus.iter().enumerate();
        let cpus = cpus
            .flat_map(|(index, cpu)| cpu.entries().map(move |entry| (Holder::Cpu(index), entry)));
        cpus.chain(self.smmus.iter().flat_map(Smmu::entries))
            .chain(self.amds.iter().flat_map(amd::Iommu::entries))
            .chain(self.vtds.iter().flat_map(Vtd::entries))
            .chain(self.links.iter().flat_map(Link::entries))
    }
}
