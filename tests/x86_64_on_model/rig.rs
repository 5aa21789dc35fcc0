//! The library on a modelled x86-64 machine, and a small kernel on top.

use crate::faulty::{Defect, Faulty};
use std::sync::Arc;
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown::arch::{Arch as _, HardwareId};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::cpu::CpuPort;
use tlb_shootdown_model::cpu::x86_64::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::platform::{IrqGuard, ModelBarriers, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

pub(crate) type Arch = X86_64<Faulty, 1>;
pub(crate) type Platform = ModelPlatform<Arch>;
pub(crate) type Engine = Shootdown<Platform, 1>;
pub(crate) type Space = AddressSpace<Arch, 1>;

/// A process: its space, its table.
pub(crate) struct Process {
    pub(crate) space: Space,
    pub(crate) tables: Tables,
}

/// CPUs, the engine, the kernel's table, and no process yet. The test is CPU 0.
pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) platform: Platform,
    pub(crate) engine: Arc<Engine>,
    pub(crate) kernel: Tables,
    parts: Parts,
}

/// What a rig is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) cpus: usize,
    pub(crate) features: CpuFeatures,
    pub(crate) temper: Temper,
    pub(crate) defect: Defect,
    pub(crate) kpti: bool,
    pub(crate) slots: usize,
    pub(crate) ceiling: u64,
}

impl Parts {
    pub(crate) const fn new(features: CpuFeatures, temper: Temper) -> Self {
        Self {
            cpus: 2,
            features,
            temper,
            defect: Defect::None,
            kpti: false,
            slots: 6,
            ceiling: 33,
        }
    }
}

/// A switch between its two halves.
pub(crate) struct Switching {
    cpu: usize,
    id: HardwareId,
    irqs_off: IrqGuard,
}

const NO_FLUSH: u64 = 1 << 63;

impl Rig {
    pub(crate) fn new(parts: Parts) -> Self {
        let model = Model::with_x86_cpus(&vec![parts.features; parts.cpus], parts.temper);
        let instructions = Faulty::new(ModelInstructions::new(model.clone()), parts.defect);
        let platform = Platform::new(model.clone());
        let arch = Arch::new(instructions, config(&parts));
        let engine = Arc::new(Engine::new(platform.clone(), arch));
        let kernel = model.x86_tables();
        let rig = Self {
            model,
            platform,
            engine,
            kernel,
            parts,
        };
        rig.handle_interrupts();
        for cpu in 0..parts.cpus {
            rig.cpu(cpu).run_kernel(rig.kernel.root());
            rig.cpu(cpu).run_nothing();
            rig.platform.set_current(cpu);
            rig.engine.cpu_online().unwrap();
        }
        rig.engine.arch().seal_features();
        rig.platform.set_current(0);
        rig
    }

    /// An interrupt of a CPU that runs a process goes through the kernel's entry and exit.
    fn handle_interrupts(&self) {
        let (engine, model) = (Arc::downgrade(&self.engine), self.model.clone());
        let keeps = self.keeps_on_exit();
        self.platform.set_handler(move || {
            let Some(engine) = engine.upgrade() else {
                return;
            };
            let cpu = engine.platform().cpu();
            let port = model.cpu(cpu.index());
            let was_in_user = port.enter_kernel();
            engine.on_ipi();
            if was_in_user {
                port.exit_to_user(engine.arch().user_cr3_on_exit(cpu).0 | keeps);
            }
        });
    }

    pub(crate) fn process(&self) -> Process {
        Process {
            space: self.engine.new_space(),
            tables: self.model.x86_tables(),
        }
    }

    /// Runs `f` on another CPU, in its kernel with interrupts off.
    fn on<R>(&self, cpu: usize, f: impl FnOnce(&CpuPort) -> R) -> R {
        let me = self.platform.cpu().index();
        self.platform.set_current(cpu);
        let irqs_off = self.platform.irq_save();
        let port = self.cpu(cpu);
        port.enter_kernel();
        let result = f(&port);
        drop(irqs_off);
        self.platform.set_current(me);
        result
    }

    /// This CPU switches to the process.
    pub(crate) fn switch(&self, cpu: usize, process: &Process) {
        let switching = self.begin_switch(cpu, process);
        self.load(&switching, process);
        self.end_switch(switching);
    }

    /// The first half of a switch; interrupts are off until its end.
    pub(crate) fn begin_switch(&self, cpu: usize, process: &Process) -> Switching {
        self.on(cpu, |_| {
            let irqs_off = self.platform.irq_save();
            let id = self.engine.switch_to(&process.space).unwrap();
            let id = HardwareId(id.0 | self.keeps_on_switch());
            Switching { cpu, id, irqs_off }
        })
    }

    /// The root is loaded.
    pub(crate) fn load(&self, switching: &Switching, process: &Process) {
        self.on(switching.cpu, |_| {
            let root = process.tables.root();
            self.platform.load(process.space.id(), root, switching.id);
        });
    }

    /// Everybody can see what is loaded.
    pub(crate) fn end_switch(&self, switching: Switching) {
        self.on(switching.cpu, |_| self.engine.root_loaded());
        drop(switching.irqs_off);
    }

    /// This CPU switches to a root of the kernel's own.
    pub(crate) fn switch_to_kernel(&self, cpu: usize) {
        self.on(cpu, |port| {
            let id = self.engine.switch_to_kernel();
            port.load(self.kernel.root(), id.0);
            self.engine.root_loaded();
        });
    }

    /// This CPU runs a kernel thread on the root that it has.
    pub(crate) fn enter_lazy(&self, cpu: usize) {
        self.on(cpu, |port| {
            self.engine.enter_lazy();
            port.enter_lazy();
        });
    }

    /// This CPU goes on in its process, under the process's own root where the kernel is unmapped meanwhile.
    pub(crate) fn exit_to_user(&self, cpu: usize) {
        if !self.parts.kpti {
            return;
        }
        self.on(cpu, |port| {
            let id = self.engine.arch().user_cr3_on_exit(CpuId::new(cpu as u32));
            port.exit_to_user(id.0 | self.keeps_on_exit());
        });
    }

    /// The PCID that all CPUs use for the process, where there is one.
    pub(crate) fn shared_id(&self, process: &Process) -> Option<u32> {
        let id = self.engine.arch().hardware_id(process.space.hardware());
        let pcid = id.map_or(0, |id| id.0 & 0xfff);
        (pcid != 0).then_some(pcid as u32)
    }

    pub(crate) fn has_global_pages(&self) -> bool {
        !self.parts.kpti
    }

    fn keeps_on_switch(&self) -> u64 {
        if self.parts.defect == Defect::KernelKeeps && self.parts.features.pcid {
            NO_FLUSH
        } else {
            0
        }
    }

    fn keeps_on_exit(&self) -> u64 {
        if self.parts.defect == Defect::ExitKeeps && self.parts.features.pcid {
            NO_FLUSH
        } else {
            0
        }
    }

    pub(crate) fn cpu(&self, cpu: usize) -> CpuPort {
        self.model.cpu(cpu)
    }

    /// Makes every store visible to every walker, as by a barrier of the test's own.
    pub(crate) fn publish(&self) {
        ModelBarriers::new(self.model.clone()).publish_tables();
    }

    pub(crate) fn sink(&self) -> Sink {
        Sink(self.model.clone())
    }
}

fn config(parts: &Parts) -> Config {
    let config = Config::new().slots(parts.slots).ceiling(parts.ceiling);
    if parts.kpti { config.kpti() } else { config }
}

/// Frees frames and tables of the machine.
pub(crate) struct Sink(Model);

impl FrameSink<1> for Sink {
    fn release_frame(&self, base: PhysAddr, _size: PageSize) {
        self.0.free(base.raw());
    }

    fn release_table(&self, base: PhysAddr) {
        self.0.free(base.raw());
    }

    fn quarantine(&self, _items: &[Item], error: &Incomplete<1>) {
        // A second panic while one unwinds would end every test.
        assert!(
            std::thread::panicking(),
            "nothing times out here: {error:?}"
        );
    }
}
