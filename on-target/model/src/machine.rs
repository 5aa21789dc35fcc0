//! The machine that the scenarios drive.

pub(crate) mod proof;

use crate::broken::Broken;
use crate::counting::{agree, deferred_range};
use crate::family::{Family, Iommu as _, Platform};
use crate::process::{self, Process};
use core::sync::atomic::{AtomicBool, Ordering};
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::{Shootdown, UpgradeStep};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::cpu::Fault;
use tlb_shootdown_model::memory::descriptor;
use tlb_shootdown_model::oracle::{Counts, Violation};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_scenarios::{
    self as scenarios, Access, Directory, Frame, Machine, Mapping, Observer, PAGES, Page, Refusal,
    Rights, Spaces, Unflushed, Yardstick,
};

const CPUS: usize = 4;
const THIS_CPU: usize = 0;
const OTHER_CPU: usize = 1;

/// Rights of an upgrade, before and after.
const UPGRADED: (Rights, Rights) = (Rights::ReadOnly, Rights::ReadWrite);

type Engine<F> = Shootdown<Platform<F>, 1>;

/// Four CPUs, an IOMMU and a device, all of them modelled, and the library on top.
pub(crate) struct Modelled<F: Family> {
    model: Model,
    platform: &'static Platform<F>,
    engine: &'static Engine<F>,
    barriers: ModelBarriers,
    iommu: F::Iommu,
    /// Where the frames begin: a large page can map them.
    frames: u64,
    process: Process<F>,
    /// What the CPUs have run before.
    neighbour: Process<F>,
    /// What the pages lead to, as the kernel has it in its books.
    pages: [Option<Mapping>; PAGES as usize],
    /// An upgrade in two steps of which the first is made.
    widening: Option<Mapping>,
    /// Whether a flush has returned since both spaces were new.
    is_flushed: AtomicBool,
}

impl<F: Family> Modelled<F> {
    /// Brings the machine up. It lives for ever, as machines do.
    ///
    /// # Errors
    /// [`Broken::SetUp`].
    pub(crate) fn new() -> Result<Self, Broken> {
        let model = F::model(CPUS);
        let platform = Platform::<F>::new(model.clone());
        let platform: &'static Platform<F> = Box::leak(Box::new(platform));
        let engine = Engine::<F>::new(platform.clone(), F::arch(&model));
        let engine: &'static Engine<F> = Box::leak(Box::new(engine));
        platform.set_handler(|| engine.on_ipi());
        for cpu in 0..CPUS {
            platform.set_current(cpu);
            engine.cpu_online().map_err(Broken::set_up)?;
        }
        F::seal(engine.arch());
        platform.set_current(THIS_CPU);
        Ok(Self {
            process: Process::new(engine, &model),
            neighbour: Process::new(engine, &model),
            iommu: F::iommu(platform)?,
            barriers: ModelBarriers::new(model.clone()),
            platform,
            engine,
            frames: model.allocate(process::LARGE),
            pages: [None; PAGES as usize],
            widening: None,
            is_flushed: AtomicBool::new(false),
            model,
        })
    }

    /// Has the CPU run the process, behind its neighbour.
    fn run_on(&self, cpu: usize) -> Result<(), Broken> {
        self.switch(cpu, &self.neighbour)?;
        self.switch(cpu, &self.process)
    }

    fn switch(&self, cpu: usize, process: &Process<F>) -> Result<(), Broken> {
        self.platform.set_current(cpu);
        let irqs_off = self.platform.irq_save();
        let space = &process.space;
        let id = self.engine.switch_to(space).map_err(Broken::set_up)?;
        self.platform.load(space.id(), process.tables.root(), id);
        self.engine.root_loaded();
        drop(irqs_off);
        self.platform.set_current(THIS_CPU);
        Ok(())
    }

    fn leave(&self, cpu: usize) {
        self.platform.set_current(cpu);
        let irqs_off = self.platform.irq_save();
        self.engine.switch_to_kernel();
        self.model.cpu(cpu).run_nothing();
        self.engine.root_loaded();
        drop(irqs_off);
        self.platform.set_current(THIS_CPU);
    }

    fn attach(&mut self) -> Result<(), Broken> {
        let space = &self.process.space;
        let id = self.engine.arch().hardware_id(space.hardware());
        let id = id.ok_or_else(|| Broken::set_up("a space that has run has an identifier"))?;
        let key = self.iommu.reserve(self.process.tables.root(), id)?;
        let attachment = self
            .engine
            .attach(&self.process.space, self.iommu.driver(), key)
            .map_err(Broken::set_up)?;
        self.process.device = Some((attachment, key));
        self.iommu.install(key)
    }

    /// Ends both spaces: every CPU leaves them, the device lets go of one, and their roots are free.
    fn end_processes(&mut self) -> Result<(), Broken> {
        (self.pages, self.widening) = ([None; PAGES as usize], None);
        [OTHER_CPU, THIS_CPU]
            .into_iter()
            .for_each(|cpu| self.leave(cpu));
        let fresh = || Process::new(self.engine, &self.model);
        let (fresh, neighbour) = (fresh(), fresh());
        let process = core::mem::replace(&mut self.process, fresh);
        let neighbour = core::mem::replace(&mut self.neighbour, neighbour);
        self.end(process)?;
        self.end(neighbour)?;
        self.judge()?;
        self.is_flushed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn end(&mut self, old: Process<F>) -> Result<(), Broken> {
        let ended = self.engine.retire(&old.space).map_err(Broken::set_up)?;
        ended
            .wait()
            .map_err(|unfinished| Unflushed::from(unfinished.error))?;
        self.free(old)
    }

    /// Lets go of a process that has been retired.
    fn free(&mut self, old: Process<F>) -> Result<(), Broken> {
        if let Some((attachment, key)) = old.device {
            self.iommu.detach(key)?;
            self.engine
                .detach(&old.space, attachment)
                .map_err(Broken::set_up)?;
        }
        self.model.returned(old.tables.root(), 0, u64::MAX);
        self.model.free(old.tables.root());
        Ok(())
    }

    fn judge(&self) -> Result<(), Broken> {
        let mut violations = self.model.violations().into_iter();
        match violations.find(|violation| !self.is_the_control(violation)) {
            Some(violation) => Err(Broken::Violation(violation)),
            None => Ok(()),
        }
    }

    /// A control leaves the flush between its two stores out: the second comes too early.
    fn is_the_control(&self, violation: &Violation) -> bool {
        let comes_too_early = matches!(violation, Violation::InstalledWhilePending { .. });
        comes_too_early && !self.is_flushed.load(Ordering::Relaxed)
    }

    /// Whether this is an upgrade that must not be made in place.
    fn must_break(&self, page: Page, mapping: Mapping) -> bool {
        let old = self.pages[usize::from(page.0)];
        let upgrades = old.is_some_and(|old| {
            old.frame == mapping.frame && (old.rights, mapping.rights) == UPGRADED
        });
        upgrades && self.engine.breaks_upgrades(&self.process.space)
    }

    fn map(&self, page: Page, mapping: Mapping) {
        let rights = match mapping.rights {
            Rights::ReadOnly => descriptor::Rights::ReadOnly,
            Rights::ReadWrite => descriptor::Rights::ReadWrite,
        };
        self.process.map(page, self.frame(mapping.frame), rights);
    }

    /// A new valid entry is made visible by the kernel, as walkers may go on missing it; the library's own barrier is what makes an
    /// entry visible that has gone.
    fn store_directory(&self, to: Directory) {
        self.process.store_directory(to, self.frames);
        if to != Directory::Empty {
            self.barriers.publish_tables();
        }
    }

    fn frame(&self, frame: Frame) -> u64 {
        self.frames + u64::from(frame.0) * process::SMALL
    }

    fn look(&self, observer: Observer, page: Page) -> Access {
        let at = process::address(page);
        match observer {
            Observer::ThisCpu => cpu_access(self.model.cpu(THIS_CPU).read(at)),
            Observer::OtherCpu => cpu_access(self.model.cpu(OTHER_CPU).read(at)),
            Observer::Device => self.iommu.read(at),
        }
    }

    /// As the engine is asked for it.
    fn spaces(&self) -> Spaces<'_, F::Arch, 1> {
        Spaces {
            tested: &self.process.space,
            neighbour: &self.neighbour.space,
            base: VirtAddr::new(process::BASE),
        }
    }

    /// The second step of an upgrade in two, or whatever it is.
    fn start(&self, flush: scenarios::Flush) -> Result<scenarios::Cost, Unflushed<1>> {
        let (scenarios::Flush::Upgrade(page), Some(widened)) = (flush, self.widening) else {
            return scenarios::flush(self.engine, &self.spaces(), flush);
        };
        let page_flush = Flush::page(VirtAddr::new(process::address(page)), PageSize::KIB_4);
        let cost = self
            .engine
            .upgrade(&self.process.space, page_flush, |step| match step {
                // The change has made this one.
                UpgradeStep::Invalidate => {}
                UpgradeStep::Widen => {
                    self.excuse_nothing();
                    self.map(page, widened);
                }
            })?;
        Ok(cost.into())
    }

    /// A flush has returned: the oracle excuses nothing any more.
    fn settle(&self) -> Result<(), Broken> {
        self.excuse_nothing();
        self.judge()
    }

    fn excuse_nothing(&self) {
        self.is_flushed.store(true, Ordering::Relaxed);
        self.model.returned(self.process.tables.root(), 0, u64::MAX);
    }
}

fn cpu_access(result: Result<u64, Fault>) -> Access {
    match result {
        Ok(word) => Access::Done(word),
        Err(Fault::Translation) => Access::Refused(Refusal::Translation),
        Err(Fault::Permission) => Access::Refused(Refusal::Permission),
        Err(_) => Access::Refused(Refusal::Other),
    }
}

impl<F: Family> Machine for Modelled<F> {
    type Error = Broken;

    fn yardstick(&self) -> &'static Yardstick {
        F::YARDSTICK
    }

    fn reset(&mut self, observer: Observer) -> Result<(), Broken> {
        self.end_processes()?;
        self.run_on(THIS_CPU)?;
        match observer {
            Observer::ThisCpu => Ok(()),
            Observer::OtherCpu => self.run_on(OTHER_CPU),
            Observer::Device => self.attach(),
        }
    }

    fn fill(&mut self, frame: Frame, word: u64) {
        self.model.poke(self.frame(frame), word);
    }

    fn word(&self, frame: Frame) -> u64 {
        self.model.peek(self.frame(frame))
    }

    fn change(&mut self, page: Page, mapping: Option<Mapping>) -> Result<(), Broken> {
        match mapping {
            // Only the first of its two steps: the flush makes the second.
            Some(widened) if self.must_break(page, widened) => {
                self.process.unmap(page);
                self.widening = Some(widened);
            }
            Some(mapping) => {
                self.map(page, mapping);
                // As in `store_directory`.
                self.barriers.publish_tables();
            }
            None => {
                self.process.unmap(page);
            }
        }
        self.pages[usize::from(page.0)] = mapping;
        Ok(())
    }

    fn set_directory(&mut self, to: Directory) -> Result<(), Broken> {
        if to == Directory::LargePage {
            self.process.unhang_table(self.frames);
            // Nobody has walked it yet, else the oracle would object to what is held.
            self.model.returned(self.process.tables.root(), 0, u64::MAX);
        }
        self.store_directory(to);
        Ok(())
    }

    fn read(&mut self, observer: Observer, page: Page) -> Result<Access, Broken> {
        Ok(self.look(observer, page))
    }

    fn write(&mut self, observer: Observer, page: Page, word: u64) -> Result<Access, Broken> {
        let at = process::address(page);
        let cpu = |index| cpu_access(self.model.cpu(index).write(at, word).map(|()| word));
        Ok(match observer {
            Observer::ThisCpu => cpu(THIS_CPU),
            Observer::OtherCpu => cpu(OTHER_CPU),
            Observer::Device => self.iommu.write(at, word),
        })
    }

    fn flush(&mut self, flush: scenarios::Flush) -> Result<scenarios::Cost, Broken> {
        self.model.take_counts();
        let cost = self.start(flush)?;
        let counts = self.model.take_counts();
        if !agree(&cost, &counts, deferred_range(flush)) {
            return Err(Broken::Miscounted { cost, counts });
        }
        if self.widening.take().is_some() {
            self.barriers.publish_tables();
        }
        self.settle()?;
        Ok(cost)
    }

    fn split(
        &mut self,
        observer: Observer,
        page: Page,
    ) -> Result<(Access, scenarios::Cost), Broken> {
        self.model.take_counts();
        let mut counts = Counts::default();
        let store = |to| self.store_directory(to);
        let look = || {
            counts = self.model.take_counts();
            self.settle().map(|()| self.look(observer, page))
        };
        let (between, cost) = scenarios::split(self.engine, &self.spaces(), store, look)?;
        if !agree(&cost, &counts, None) {
            return Err(Broken::Miscounted { cost, counts });
        }
        self.settle()?;
        Ok((between, cost))
    }
}
