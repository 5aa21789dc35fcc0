//! A process and kernel pages on the machine, which every CPU runs, and a device of software that may share the process.

use crate::defective::{Defect, Defective};
use crate::pages::Pages;
use crate::played::{CPUS, Defect as OfPlatform, Engine, Played};
use crate::software::{self, KEY, Software};
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::conformance::{self, Agent, Cpus, Entry, Failure, Passed, Probe, Window};
use tlb_shootdown_model::platform::{IpiScript, ModelPlatform, PlainArch};
use tlb_shootdown_model::{Model, Temper};

/// The machine, with whatever is wrong with it.
pub(crate) struct Mapped {
    engine: &'static Engine<Defective>,
    space: &'static AddressSpace<Defective, 1>,
    user: Pages,
    kernel: Pages,
    device: Option<&'static Software>,
    /// Stores of entries do nothing.
    pub(crate) stores_nothing: bool,
}

impl Mapped {
    pub(crate) fn new(defect: Defect) -> Self {
        Self::with(defect, OfPlatform::None)
    }

    pub(crate) fn with(defect: Defect, of_platform: OfPlatform) -> Self {
        let model = Model::new(CPUS as usize, Temper::Late);
        let platform = ModelPlatform::new(model.clone());
        let arch = Defective::new(PlainArch::new(model.clone()), defect);
        let engine = Played::engine(platform.clone(), arch, of_platform);
        let [user, kernel] = Pages::both(&model, &platform);
        let mapped = Self {
            engine,
            space: Box::leak(Box::new(engine.new_space())),
            user,
            kernel,
            device: None,
            stores_nothing: false,
        };
        (0..CPUS).for_each(|cpu| mapped.switch(cpu as usize));
        platform.set_current(0);
        mapped
    }

    fn switch(&self, cpu: usize) {
        let platform = &self.user.platform;
        platform.set_current(cpu);
        let irqs_off = platform.irq_save();
        let id = self.engine.switch_to(self.space).unwrap();
        platform.load(self.space.id(), self.user.tables.root(), id);
        self.engine.root_loaded();
        drop(irqs_off);
        self.user
            .model
            .cpu(cpu)
            .run_kernel(self.kernel.tables.root());
    }

    /// A device shares the space from here on.
    pub(crate) fn attach(&mut self, defect: software::Defect) {
        let device: &'static Software = Box::leak(Box::new(Software::new(defect)));
        // Never detached: the machine is let go of with it.
        let _attachment = self.engine.attach(self.space, device, KEY).unwrap();
        self.device = Some(device);
    }

    /// Every fault handler repairs spurious faults.
    pub(crate) fn repair_spurious_faults(&self) {
        self.user.platform.set_repairs_spurious_faults(true);
    }

    /// CPU 1 is not interrupted any more.
    pub(crate) fn lose_interrupts(&self) {
        self.user.platform.script_ipis(1, IpiScript::Lose);
    }

    /// The space ends before the suite begins.
    pub(crate) fn retire(&self) {
        let ended = self.engine.retire(self.space).unwrap();
        assert!(ended.wait().is_ok());
    }

    pub(crate) fn proof(&self) -> Result<Passed, Failure> {
        let passed = conformance::arch(self.engine, self.space, self);
        self.user.platform.clear_handler();
        passed
    }

    /// The end of its space, which nobody can use any more.
    pub(crate) fn ending(&self) -> Result<Passed, Failure> {
        let passed = conformance::ending(self.engine, self.space, self);
        self.user.platform.clear_handler();
        passed
    }
}

impl Cpus for Mapped {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        self.engine.platform().run_on(cpu, work);
    }
}

impl Probe for Mapped {
    fn device(&self) -> Option<&dyn Agent> {
        self.device.map(|device| device as &dyn Agent)
    }

    fn kernel(&self) -> Option<&dyn Window> {
        Some(&self.kernel)
    }

    fn idle(&self) -> bool {
        self.engine.enter_lazy();
        true
    }
}

impl Agent for Mapped {
    fn read(&self, page: usize) -> Option<u64> {
        self.user.read(page)
    }

    fn write(&self, page: usize) -> bool {
        self.user.write(page)
    }
}

impl Window for Mapped {
    fn page_size(&self) -> PageSize {
        self.user.page_size()
    }

    fn address(&self, page: usize) -> VirtAddr {
        self.user.address(page)
    }

    fn store(&self, page: usize, entry: Entry) {
        if self.stores_nothing {
            return;
        }
        self.user.store(page, entry);
        if let Some(device) = self.device {
            device.store(page, entry);
        }
    }

    /// A device of software knows no tables.
    fn hang_table(&self, hung: bool) -> bool {
        self.device.is_none() && self.user.hang_table(hung)
    }
}
