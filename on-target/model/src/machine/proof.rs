//! The library's platforms, architectures and IOMMU drivers before the conformance suite.

use super::{CPUS, Engine, Modelled};
use crate::broken::Broken;
use crate::family::{Family, Iommu as _, Platform};
use crate::process::{BASE, Process};
use std::thread;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::space::AddressSpace;
pub use tlb_shootdown_model::conformance::Proof;
use tlb_shootdown_model::conformance::{
    self, Agent, Attached, Bounds, Cpus, Entry, Frame, PAGES, Port, Probe, Surroundings, Window,
};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_scenarios::Access;

/// What differs between machines.
pub(crate) struct Kind {
    /// Where pages of the kernel half may lie.
    pub(crate) kernel: u64,
    /// Whether a device shares the space.
    pub(crate) shares: bool,
    /// Whether its CPUs keep account of whom their root is for.
    pub(crate) borrows: bool,
}

/// How long a fence may take, and how large a queue may be.
const POLLS: u32 = 10_000;

/// Proves the ports of a family.
///
/// # Errors
/// What the suite found, or why the machine could not be set up; or what the oracle objects to in the end.
pub(crate) fn prove<F: Family>(kind: &Kind) -> Result<Proof, Broken>
where
    F::Iommu: Sync,
{
    let mut machine = Modelled::<F>::new()?;
    (0..CPUS).try_for_each(|cpu| machine.run_on(cpu))?;
    if kind.shares {
        machine.attach()?;
    }
    let kernel = F::tables(&machine.model);
    (0..CPUS).for_each(|cpu| machine.model.cpu(cpu).run_kernel(kernel.root()));
    let proof = conformance::run(&Ports::new(&machine, kernel, kind)).map_err(Broken::set_up)?;
    (0..CPUS).for_each(|cpu| machine.leave(cpu));
    let fresh = Process::new(machine.engine, &machine.model);
    let ended = core::mem::replace(&mut machine.process, fresh);
    machine.free(ended)?;
    machine.end_processes()?;
    Ok(proof)
}

/// The machine as the suite drives it.
struct Ports<'m, F: Family> {
    machine: &'m Modelled<F>,
    user: Pages<'m, F>,
    kernel: Pages<'m, F>,
    device: Pages<'m, F>,
    shares: bool,
    borrows: bool,
}

impl<'m, F: Family> Ports<'m, F>
where
    F::Iommu: Sync,
{
    fn new(machine: &'m Modelled<F>, kernel: Tables, kind: &Kind) -> Self {
        let frames = [Frame::First, Frame::Second].map(|frame| {
            let pa = machine.model.allocate(0x1000);
            machine.model.poke(pa, frame.word());
            pa
        });
        let pages = |tables: &Tables, base, by_device| Pages {
            machine,
            tables: tables.clone(),
            base,
            frames,
            by_device,
        };
        let user = &machine.process.tables;
        Self {
            machine,
            user: pages(user, BASE, false),
            kernel: pages(&kernel, kind.kernel, false),
            device: pages(user, BASE, true),
            shares: kind.shares,
            borrows: kind.borrows,
        }
    }
}

impl<F: Family> Port<1> for Ports<'_, F>
where
    F::Iommu: Sync,
{
    type Platform = Platform<F>;

    fn engine(&self) -> &Engine<F> {
        self.machine.engine
    }

    fn space(&self) -> &AddressSpace<F::Arch, 1> {
        &self.machine.process.space
    }

    fn secondary(&self) -> Option<Attached<'_>> {
        let (_, key) = self.machine.process.device?;
        let len = PAGES as u64 * 0x1000;
        let pages = PageRange::from_len(VirtAddr::new(BASE), len, PageSize::KIB_4);
        Some(Attached {
            tlb: self.machine.iommu.driver(),
            key,
            bounds: Bounds {
                pages: pages.ok()?,
                polls: POLLS,
                room: POLLS,
            },
            surroundings: self,
        })
    }
}

impl<F: Family> Cpus for Ports<'_, F>
where
    F::Iommu: Sync,
{
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        let platform = self.machine.platform;
        let caller = platform.cpu();
        platform.set_current(cpu.index());
        work();
        platform.set_current(caller.index());
    }
}

impl<F: Family> Surroundings for Ports<'_, F>
where
    F::Iommu: Sync,
{
    fn relax(&self) {
        self.machine.platform.relax();
    }

    /// Every CPU on a thread of its own. None of them is interrupted, so no handler runs beside it.
    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        let play = |cpu| {
            self.machine.platform.set_current(cpu);
            work();
        };
        thread::scope(|scope| {
            (0..CPUS).for_each(|cpu| {
                scope.spawn(move || play(cpu));
            });
        });
        true
    }

    fn device(&self) -> Option<&dyn Window> {
        Some(&self.device)
    }
}

impl<F: Family> Probe for Ports<'_, F>
where
    F::Iommu: Sync,
{
    fn device(&self) -> Option<&dyn Agent> {
        self.shares.then_some(&self.device as &dyn Agent)
    }

    fn kernel(&self) -> Option<&dyn Window> {
        Some(&self.kernel)
    }

    fn idle(&self) -> bool {
        let machine = self.machine;
        if self.borrows {
            let cpu = machine.platform.cpu();
            machine.model.cpu(cpu.index()).enter_lazy();
        }
        machine.engine.enter_lazy();
        true
    }
}

impl<F: Family> Agent for Ports<'_, F>
where
    F::Iommu: Sync,
{
    fn read(&self, page: usize) -> Option<u64> {
        self.user.read(page)
    }

    fn write(&self, page: usize) -> bool {
        self.user.write(page)
    }
}

impl<F: Family> Window for Ports<'_, F>
where
    F::Iommu: Sync,
{
    fn page_size(&self) -> PageSize {
        self.user.page_size()
    }

    fn address(&self, page: usize) -> VirtAddr {
        self.user.address(page)
    }

    fn store(&self, page: usize, entry: Entry) {
        self.user.store(page, entry);
    }

    fn hang_table(&self, hung: bool) -> bool {
        self.user.hang_table(hung)
    }
}

/// Test pages in one half, used by the current CPU or by the device.
struct Pages<'m, F: Family> {
    machine: &'m Modelled<F>,
    tables: Tables,
    base: u64,
    frames: [u64; 2],
    by_device: bool,
}

impl<F: Family> Pages<'_, F> {
    fn cpu(&self) -> usize {
        self.machine.platform.cpu().index()
    }

    fn at(&self, page: usize) -> u64 {
        self.base + page as u64 * 0x1000
    }
}

impl<F: Family> Agent for Pages<'_, F>
where
    F::Iommu: Sync,
{
    fn read(&self, page: usize) -> Option<u64> {
        if !self.by_device {
            return self.machine.model.cpu(self.cpu()).read(self.at(page)).ok();
        }
        match self.machine.iommu.read(self.at(page)) {
            Access::Done(word) => Some(word),
            Access::Refused(_) => None,
        }
    }

    fn write(&self, page: usize) -> bool {
        let at = self.at(page) + 8;
        if !self.by_device {
            return self.machine.model.cpu(self.cpu()).write(at, 1).is_ok();
        }
        matches!(self.machine.iommu.write(at, 1), Access::Done(_))
    }
}

impl<F: Family> Window for Pages<'_, F>
where
    F::Iommu: Sync,
{
    fn page_size(&self) -> PageSize {
        PageSize::KIB_4
    }

    fn address(&self, page: usize) -> VirtAddr {
        VirtAddr::new(self.at(page))
    }

    fn store(&self, page: usize, entry: Entry) {
        let (frame, rights) = match entry {
            Entry::Nothing => {
                self.tables.unmap(self.cpu(), self.at(page));
                return self.publish();
            }
            Entry::ReadOnly(frame) => (frame, Rights::ReadOnly),
            Entry::ReadWrite(frame) => (frame, Rights::ReadWrite),
        };
        let mapping = Mapping::page(self.frames[frame as usize], rights);
        self.tables.map(self.cpu(), self.at(page), mapping);
        self.publish();
    }

    /// What is put back is made anew, by the stores that follow.
    fn hang_table(&self, hung: bool) -> bool {
        if !hung {
            self.tables.unhang_table(self.cpu(), self.at(0));
        }
        true
    }
}

impl<F: Family> Pages<'_, F> {
    /// Where no CPU flushes, no barrier of a flush does it.
    fn publish(&self) {
        if self.by_device {
            self.machine.barriers.publish_tables();
        }
    }
}
