//! The library on a modelled POWER machine, and a small kernel on top.

use crate::faulty::{Defect, Faulty};
use crate::own::Own;
use crate::random_kernel::{self, Kernel, Layout, Machine, Surplus, lend};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::powerpc::{Config, PowerPc};
use tlb_shootdown::arch::{Arch as _, HardwareId};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, ModelHypervisor, ModelInstructions, Role};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::oracle::Counts;
use tlb_shootdown_model::platform::{IpiScript, IrqGuard, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

pub(crate) type Arch = PowerPc<Faulty, 1>;
pub(crate) type Platform = ModelPlatform<Arch>;
pub(crate) type Engine = Shootdown<Platform, 1>;
pub(crate) type Process = random_kernel::Process<Arch>;

/// CPUs, the engine, the kernel's table, and no process yet. The test is CPU 0.
pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) platform: Platform,
    pub(crate) engine: &'static Engine,
    pub(crate) kernel: Tables,
    /// Of a guest without the right to `tlbie`.
    pub(crate) hypervisor: &'static ModelHypervisor,
    pub(crate) parts: Parts,
}

/// What a rig is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) cpus: usize,
    pub(crate) features: CpuFeatures,
    pub(crate) temper: Temper,
    pub(crate) defect: Defect,
    /// The largest numbers of pages that are invalidated one by one, everywhere and here.
    pub(crate) ceilings: (u64, u64),
    /// Broadcasts before former CPUs are asked to let go.
    pub(crate) patience: u64,
    /// Turns of a spin loop before an interrupt arrives.
    pub(crate) delay: u32,
}

impl Parts {
    pub(crate) const fn new(features: CpuFeatures, temper: Temper) -> Self {
        Self {
            cpus: 2,
            features,
            temper,
            defect: Defect::None,
            ceilings: (33, 256),
            patience: 2,
            delay: 0,
        }
    }
}

/// A switch between its two halves.
pub(crate) struct Switching {
    cpu: usize,
    id: HardwareId,
    irqs_off: IrqGuard,
}

impl Rig {
    pub(crate) fn new(parts: Parts) -> Self {
        let model = Model::with_power_cpus(&vec![parts.features; parts.cpus], parts.temper);
        let instructions = Faulty::new(ModelInstructions::new(model.clone()), parts.defect);
        let platform = Platform::new(model.clone());
        let hypervisor: &ModelHypervisor = lend(ModelHypervisor::new(model.clone()));
        let arch = Arch::new(instructions, config(&parts, hypervisor));
        let rig = Self {
            engine: lend(Engine::new(platform.clone(), arch)),
            kernel: tables(&model, &parts.features),
            hypervisor,
            platform,
            model,
            parts,
        };
        rig.handle_interrupts();
        for cpu in 0..parts.cpus {
            rig.cpu(cpu).run_kernel(rig.kernel.root());
            rig.platform.set_current(cpu);
            rig.engine.cpu_online().unwrap();
            if parts.delay > 0 {
                rig.platform.script_ipis(cpu, IpiScript::Delay(parts.delay));
            }
        }
        rig.platform.set_current(0);
        rig
    }

    fn handle_interrupts(&self) {
        let engine = self.engine;
        self.platform.set_handler(move || engine.on_ipi());
    }

    /// The PID of a process that has run.
    pub(crate) fn pid(&self, process: &Process) -> Option<u32> {
        let id = self.engine.arch().hardware_id(process.space.hardware());
        id.map(|id| id.0 as u32)
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

    /// Quadrant 3 is the kernel's.
    fn layout(&self) -> Layout {
        let base = match self.parts.features.pages_64k {
            true => PageSize::KIB_64,
            false => PageSize::KIB_4,
        };
        Layout {
            base,
            large: 2,
            kernel: 0xc000_0000_4000_0000,
        }
    }

    fn process(&self) -> Process {
        Process {
            space: lend(self.engine.new_space()),
            tables: tables(&self.model, &self.parts.features),
        }
    }

    fn begin_switch(&self, cpu: usize, process: &Process) -> Switching {
        self.on(cpu, |_| {
            let irqs_off = self.platform.irq_save();
            let id = self.engine.switch_to(process.space).unwrap();
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
            assert_eq!(self.engine.switch_to_kernel(), HardwareId(0));
            port.run_nothing();
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
        use tlb_shootdown::arch::powerpc::instructions::Instructions;
        ModelInstructions::new(self.model.clone()).ptesync();
    }

    fn apply(kernel: &mut Kernel<Self>, own: Own) {
        own.apply(kernel);
    }

    /// Time passes. Who was asked to let go of a process before does it now, and not in the middle of what is counted.
    fn take_interrupts(&self) {
        self.platform.relax();
    }

    /// Not where something between the two is wrong or late.
    fn compare(&self, cost: &Cost, counts: &Counts) {
        let is_exact = self.parts.defect == Defect::None && self.parts.delay == 0;
        assert!(!is_exact || cost.ipis == counts.ipis);
        if is_exact && counts.ipis == 0 {
            let said = [
                cost.store_barriers,
                cost.invalidations,
                cost.completion_barriers,
            ];
            let counted = [
                counts.store_barriers,
                counts.tlbis + counts.hypercalls,
                counts.completion_barriers,
            ];
            assert_eq!(said, counted);
        }
    }

    fn crowded(kernel: &mut Kernel<Self>, cpu: usize, page: u64) {
        Own::WriteLater { cpu, page }.apply(kernel);
    }

    /// The process table has it no more, visibly, before anything is flushed.
    fn end(&self, process: &Process) {
        if let Some(pid) = self.pid(process) {
            self.model.set_process(pid, None);
        }
    }

    /// A CPU that is asked lets go of the whole process.
    /// Where interrupts are late, a CPU that an earlier flush has asked to let go may do it now.
    fn surplus(&self, cost: &Cost) -> Surplus {
        match (cost.ipis, self.parts.delay) {
            (0, 0) => Surplus::None,
            _ => Surplus::Any,
        }
    }

    /// The mend of a POWER9's ERAT drops the kernel's translations with every range of more than a page.
    fn surplus_elsewhere(&self, _flush: &Flush, cost: &Cost) -> Surplus {
        match self.parts.features.erat_defect {
            true => Surplus::Any,
            false => self.surplus(cost),
        }
    }

    fn shared_id(&self, process: &Process) -> Option<u32> {
        self.pid(process)
    }
}

fn tables(model: &Model, features: &CpuFeatures) -> Tables {
    match features.pages_64k {
        true => model.radix_64k_tables(),
        false => model.radix_tables(),
    }
}

fn config(parts: &Parts, hypervisor: &'static ModelHypervisor) -> Config {
    let config = match parts.features.role {
        Role::Hypervisor => Config::hypervisor(),
        Role::Guest => Config::guest(),
        Role::GuestWithoutTlbie => Config::guest_without_tlbie(hypervisor),
    };
    let config = config
        .page_ceilings(parts.ceilings.0, parts.ceilings.1)
        .ask_after(parts.patience)
        .pid_bits(3);
    match parts.features.pages_64k {
        true => config.base_page_64k(),
        false => config,
    }
}
