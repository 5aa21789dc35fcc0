//! The handle on one machine.

use crate::amd::{self, AmdOptions, AmdPort};
use crate::chooser::{Chooser, Temper};
use crate::cpu::{Cpu, CpuFeatures, CpuPort, powerpc, x86_64};
use crate::ground::Ground;
use crate::lock::Lock;
use crate::memory::radix::Base;
use crate::memory::{Format, Memory, Tables};
use crate::ocxl::{Link, LinkOptions, LinkPort};
use crate::oracle::{Counts, Oracle, OverFlush, Span, Violation};
use crate::smmuv3::{Smmu, SmmuOptions, SmmuPort};
use crate::vtd::{Vtd, VtdOptions, VtdPort};
use crate::world::World;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::DmaRegion;

/// A machine: memory, CPUs, IOMMUs with devices, and the oracle that judges them all. Clones are the same machine.
///
/// Every method may be called from any thread; none blocks but for the moment of another's call.
#[derive(Clone, Debug)]
pub struct Model {
    world: Arc<Lock<World>>,
}

impl Model {
    /// A machine without IOMMUs, with `cpus` CPUs of the default features.
    pub fn new(cpus: usize, temper: Temper) -> Self {
        Self::with_cpus(&alloc::vec![CpuFeatures::default(); cpus], temper)
    }

    /// A machine without IOMMUs, with these CPUs.
    pub fn with_cpus(features: &[CpuFeatures], temper: Temper) -> Self {
        Self::of(features.iter().copied().map(Cpu::new).collect(), temper)
    }

    /// A machine without IOMMUs, with these x86-64 CPUs.
    pub fn with_x86_cpus(features: &[x86_64::CpuFeatures], temper: Temper) -> Self {
        Self::of(features.iter().copied().map(Cpu::x86).collect(), temper)
    }

    /// A machine without IOMMUs, with these POWER CPUs.
    pub fn with_power_cpus(features: &[powerpc::CpuFeatures], temper: Temper) -> Self {
        Self::of(features.iter().copied().map(Cpu::power).collect(), temper)
    }

    fn of(cpus: Vec<Cpu>, temper: Temper) -> Self {
        let ground = Ground {
            memory: Memory::default(),
            chooser: Chooser::new(temper),
            oracle: Oracle::default(),
            processes: BTreeMap::new(),
        };
        let world = World {
            ground,
            cpus,
            smmus: Vec::new(),
            amds: Vec::new(),
            vtds: Vec::new(),
            links: Vec::new(),
            demands_pins: false,
        };
        Self {
            world: Arc::new(Lock::new(world)),
        }
    }

    /// Adds an SMMU.
    pub fn add_smmu(&self, options: SmmuOptions) -> SmmuPort {
        let index = self.with(|world| {
            let index = world.smmus.len();
            world.smmus.push(Smmu::new(index, options));
            index
        });
        SmmuPort::new(self.clone(), index)
    }

    /// Adds an AMD IOMMU.
    pub fn add_amd(&self, options: AmdOptions) -> AmdPort {
        let index = self.with(|world| {
            let index = world.amds.len();
            world.amds.push(amd::Iommu::new(index, options));
            index
        });
        AmdPort::new(self.clone(), index)
    }

    /// Adds a VT-d unit.
    pub fn add_vtd(&self, options: VtdOptions) -> VtdPort {
        let index = self.with(|world| {
            let index = world.vtds.len();
            world.vtds.push(Vtd::new(index, options));
            index
        });
        VtdPort::new(self.clone(), index)
    }

    /// Adds an OpenCAPI link.
    pub fn add_link(&self, options: LinkOptions) -> LinkPort {
        let index = self.with(|world| {
            let index = world.links.len();
            world.links.push(Link::new(index, options));
            index
        });
        LinkPort::new(self.clone(), index)
    }

    /// The CPU of this number.
    ///
    /// # Panics
    /// Where there is no such CPU.
    pub fn cpu(&self, index: usize) -> CpuPort {
        assert!(
            index < self.with(|world| world.cpus.len()),
            "no CPU {index}"
        );
        CpuPort::new(self.clone(), index)
    }

    /// A new, empty page table of an AArch64 process.
    pub fn tables(&self) -> Tables {
        Tables::new(self.clone(), Format::Vmsa, 0)
    }

    /// A new, empty page table of an x86-64 process, of four levels.
    pub fn x86_tables(&self) -> Tables {
        Tables::new(self.clone(), Format::X86, 0)
    }

    /// The same with five levels (LA57).
    pub fn x86_la57_tables(&self) -> Tables {
        Tables::new(self.clone(), Format::X86, -1)
    }

    /// A new, empty radix tree of a POWER process: 52 bits, the last level of 4 KiB pages.
    pub fn radix_tables(&self) -> Tables {
        Tables::new(self.clone(), Format::Radix(Base::Kib4), 0)
    }

    /// The same with pages of 64 KiB in the last level.
    pub fn radix_64k_tables(&self) -> Tables {
        Tables::new(self.clone(), Format::Radix(Base::Kib64), 0)
    }

    /// A new, empty table of host translations for AMD IOMMUs, of four levels.
    pub fn amd_host_tables(&self) -> Tables {
        Tables::new(self.clone(), Format::AmdHost, 0)
    }

    /// A zeroed frame of `size` bytes, a power of two of at least 4 KiB, aligned to its size. The frame of this size that was
    /// freed last is given out first.
    pub fn allocate(&self, size: u64) -> u64 {
        let size = size.next_power_of_two().max(0x1000);
        self.with(|world| world.ground.memory.frames.allocate(size))
    }

    /// Frees a frame. From now on each use of it is a violation; it is one already where somebody still holds an entry that leads there.
    pub fn free(&self, pa: u64) {
        self.with(|world| {
            if let Some(holder) = world.holder_of(pa) {
                let early = Violation::FreedWhileHeld { holder, pa };
                world.ground.oracle.report(early);
            }
            if !world.ground.memory.frames.free(pa) {
                world.ground.oracle.report(Violation::FreedTwice { pa });
            }
        });
    }

    /// Memory that a driver shares with a device, aligned to `align` and to 4 KiB. What the driver writes there a device sees after
    /// the next barrier of the [`DmaBarriers`](tlb_shootdown::dma::DmaBarriers) or of a CPU.
    pub fn share(&self, len: u64, align: u64) -> DmaRegion {
        let (virt, phys) = self.with(|world| world.ground.memory.share(len, align));
        // SAFETY: the block lives as long as the machine, which the caller keeps, is made of atomics, and is nobody else's.
        unsafe { DmaRegion::new(virt, PhysAddr::new(phys), len as usize) }
    }

    /// Reads a word of memory past all translations.
    pub fn peek(&self, pa: u64) -> u64 {
        self.with(|world| world.ground.memory.read(pa))
    }

    /// Writes a word of memory past all translations.
    pub fn poke(&self, pa: u64, value: u64) {
        self.with(|world| world.ground.memory.write(pa, value));
    }

    /// The kernel of a POWER machine writes its process table: the tree of this PID begins there, or nowhere. Loading a root on a CPU
    /// does it as well.
    pub fn set_process(&self, pid: u32, root: Option<u64>) {
        self.with(|world| {
            let processes = &mut world.ground.processes;
            match root {
                Some(root) => processes.insert(pid, root),
                None => processes.remove(&pid),
            }
        });
    }

    /// Time passes: whatever is under way may arrive, and every IOMMU does a piece of work.
    pub fn step(&self) {
        self.with(World::step);
    }

    /// CPUs may keep entries with fewer rights than the table gives: their fault handlers repair spurious faults.
    pub fn permit_lazy_upgrades(&self, permitted: bool) {
        self.with(|world| world.ground.oracle.permit_lazy_upgrades(permitted));
    }

    /// Tells the oracle that a flush of `[first, last]` of the table at `root` has returned: a stale entry in there is from now
    /// on a violation, held or used.
    pub fn returned(&self, root: u64, first: u64, last: u64) {
        let span = Span { root, first, last };
        self.with(|world| world.ground.oracle.returned(span));
    }

    /// Tells the oracle that no flush of `[first, last]` of the table at `root` is open: all that were begun have returned. A violation
    /// where an invalidation in there has been issued by a CPU and is not complete, or was put into a queue and has not been done, whether anybody
    /// holds an entry or not.
    pub fn settled(&self, root: u64, first: u64, last: u64) {
        let span = Span { root, first, last };
        self.with(|world| world.settled(span));
    }

    /// The kernel under test relies on `[first, last]` of the table at `root` being flushed: it has found nothing mapped there, or no
    /// more rights than it wants to leave, and skips a flush of its own on the strength of it, or reuses what was mapped. A violation
    /// where an entry in there was taken out, changed or restricted and the flush of that has not [returned](Self::returned).
    pub fn relies_on(&self, root: u64, first: u64, last: u64) {
        let span = Span { root, first, last };
        self.with(|world| world.ground.oracle.relies_on(span));
    }

    /// Everything that must not be or have been: what was recorded since the last call, and every entry that is held and must
    /// not be. Empty where all is well.
    pub fn violations(&self) -> Vec<Violation> {
        self.with(|world| {
            let mut all = world.ground.oracle.take_violations();
            all.extend(world.held());
            all
        })
    }

    /// Whoever is about to flush `[first, last]` of the table at `root` asks for all of it: until the next
    /// [`Model::take_over_flush`] nothing that is dropped there is over-flush.
    pub fn asks_for(&self, root: u64, first: u64, last: u64) {
        let span = Span { root, first, last };
        self.with(|world| world.ground.oracle.asks_for(span));
    }

    /// What invalidations have dropped without being asked for since the last call.
    pub fn take_over_flush(&self) -> OverFlush {
        self.with(|world| world.ground.oracle.take_over_flush())
    }

    /// What the machine was asked to do since the last call.
    pub fn take_counts(&self) -> Counts {
        self.with(|world| core::mem::take(&mut world.ground.oracle.counts))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        self.world.with(f)
    }
}
