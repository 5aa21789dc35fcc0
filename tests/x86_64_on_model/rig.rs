//! The library on a modelled x86-64 machine, and a small kernel on top.

use crate::faulty::{Defect, Faulty};
use crate::own::Own;
use crate::random_kernel::{self, Kernel, Layout, Machine, Surplus, lend};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown::arch::{Arch as _, HardwareId};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown_model::cpu::x86_64::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::oracle::Counts;
use tlb_shootdown_model::platform::{IrqGuard, ModelBarriers, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

pub(crate) type Arch = X86_64<Faulty, 1>;
pub(crate) type Platform = ModelPlatform<Arch>;
pub(crate) type Engine = Shootdown<Platform, 1>;
pub(crate) type Process = random_kernel::Process<Arch>;

/// CPUs, the engine, the kernel's table, and no process yet. The test is CPU 0.
pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) platform: Platform,
    pub(crate) engine: &'static Engine,
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
        let engine = lend(Engine::new(platform.clone(), arch));
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
        let (engine, model) = (self.engine, self.model.clone());
        let keeps = self.keeps_on_exit();
        self.platform.set_handler(move || {
            let cpu = engine.platform().cpu();
            let port = model.cpu(cpu.index());
            let was_in_user = port.enter_kernel();
            engine.on_ipi();
            if was_in_user {
                port.exit_to_user(engine.arch().user_cr3_on_exit(cpu).0 | keeps);
            }
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
}

impl Machine for Rig {
    type Arch = Arch;
    type Switching = Switching;
    type Own = Own;

    fn model(&self) -> &Model {
        &self.model
    }

    fn platform(&self) -> &Platform {
        &self.platform
    }

    fn engine(&self) -> &'static Engine {
        self.engine
    }

    fn kernel_tables(&self) -> &Tables {
        &self.kernel
    }

    fn layout(&self) -> Layout {
        Layout {
            base: PageSize::KIB_4,
            large: 0,
            kernel: 0xffff_8000_4000_0000,
        }
    }

    fn process(&self) -> Process {
        Process {
            space: lend(self.engine.new_space()),
            tables: self.model.x86_tables(),
        }
    }

    fn begin_switch(&self, cpu: usize, process: &Process) -> Switching {
        self.on(cpu, |_| {
            let irqs_off = self.platform.irq_save();
            let id = self.engine.switch_to(process.space).unwrap();
            let id = HardwareId(id.0 | self.keeps_on_switch());
            Switching { cpu, id, irqs_off }
        })
    }

    fn load(&self, switching: &Switching, process: &Process) {
        self.on(switching.cpu, |_| {
            let root = process.tables.root();
            self.platform.load(process.space.id(), root, switching.id);
        });
    }

    fn end_switch(&self, switching: Switching) {
        self.on(switching.cpu, |_| self.engine.root_loaded());
        drop(switching.irqs_off);
    }

    fn switch_to_kernel(&self, cpu: usize) {
        self.on(cpu, |port| {
            let id = self.engine.switch_to_kernel();
            port.load(self.kernel.root(), id.0);
            self.engine.root_loaded();
        });
    }

    fn enter_lazy(&self, cpu: usize) {
        self.on(cpu, |port| {
            self.engine.enter_lazy();
            port.enter_lazy();
        });
    }

    fn publish(&self) {
        ModelBarriers::new(self.model.clone()).publish_tables();
    }

    fn has_global_pages(&self) -> bool {
        !self.parts.kpti
    }

    fn apply(kernel: &mut Kernel<Self>, own: Own) {
        own.apply(kernel);
    }

    fn enter_kernel(&self, cpu: usize) {
        self.cpu(cpu).enter_kernel();
    }

    fn compare(&self, cost: &Cost, counts: &Counts) {
        assert_eq!(cost.ipis, counts.ipis);
        if counts.ipis == 0 {
            let said = [
                cost.store_barriers,
                cost.invalidations,
                cost.completion_barriers,
            ];
            let counted = [
                counts.store_barriers,
                counts.tlbis,
                counts.completion_barriers,
            ];
            assert_eq!(said, counted);
        }
    }

    /// INVLPGB names pages. A CPU that is asked catches up by generations, and above its ceiling drops all that it has loaded.
    fn surplus(&self, cost: &Cost) -> Surplus {
        match (cost.completion_barriers, cost.ipis) {
            (1.., 0) => Surplus::None,
            _ => Surplus::Any,
        }
    }

    fn shared_id(&self, process: &Process) -> Option<u32> {
        let id = self.engine.arch().hardware_id(process.space.hardware());
        let pcid = id.map_or(0, |id| id.0 & 0xfff);
        (pcid != 0).then_some(pcid as u32)
    }
}

fn config(parts: &Parts) -> Config {
    let config = Config::new().slots(parts.slots).ceiling(parts.ceiling);
    if parts.kpti { config.kpti() } else { config }
}
