//! The library on a modelled POWER machine, and a small kernel on top.

use crate::faulty::{Defect, Faulty};
use std::sync::Arc;
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::arch::powerpc::{Config, PowerPc};
use tlb_shootdown::arch::{Arch as _, HardwareId};
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::cpu::CpuPort;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, ModelHypervisor, ModelInstructions, Role};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::platform::{IpiScript, IrqGuard, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

pub(crate) type Arch = PowerPc<Faulty, 1>;
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
        let hypervisor: &ModelHypervisor = Box::leak(Box::new(ModelHypervisor::new(model.clone())));
        let arch = Arch::new(instructions, config(&parts, hypervisor));
        let rig = Self {
            engine: Arc::new(Engine::new(platform.clone(), arch)),
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

    /// Time passes. Who was asked to let go of a process before does it now, and not in the middle of what is counted.
    pub(crate) fn take_interrupts(&self) {
        self.platform.relax();
    }

    fn handle_interrupts(&self) {
        let engine = Arc::downgrade(&self.engine);
        self.platform.set_handler(move || {
            if let Some(engine) = engine.upgrade() {
                engine.on_ipi();
            }
        });
    }

    pub(crate) fn process(&self) -> Process {
        Process {
            space: self.engine.new_space(),
            tables: tables(&self.model, &self.parts.features),
        }
    }

    /// Runs `f` on another CPU with interrupts off.
    fn on<R>(&self, cpu: usize, f: impl FnOnce(&CpuPort) -> R) -> R {
        let me = self.platform.cpu().index();
        self.platform.set_current(cpu);
        let irqs_off = self.platform.irq_save();
        let result = f(&self.cpu(cpu));
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
            Switching { cpu, id, irqs_off }
        })
    }

    /// The PID is loaded.
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

    /// This CPU loads the kernel's PID.
    pub(crate) fn switch_to_kernel(&self, cpu: usize) {
        self.on(cpu, |port| {
            assert_eq!(self.engine.switch_to_kernel(), HardwareId(0));
            port.run_nothing();
            self.engine.root_loaded();
        });
    }

    /// This CPU runs a kernel thread under the PID that it has.
    pub(crate) fn enter_lazy(&self, cpu: usize) {
        self.on(cpu, |port| {
            self.engine.enter_lazy();
            port.enter_lazy();
        });
    }

    /// The PID of a process that has run.
    pub(crate) fn pid(&self, process: &Process) -> Option<u32> {
        let id = self.engine.arch().hardware_id(process.space.hardware());
        id.map(|id| id.0 as u32)
    }

    pub(crate) fn cpu(&self, cpu: usize) -> CpuPort {
        self.model.cpu(cpu)
    }

    /// Makes this CPU's stores visible to every walker, as by a barrier of the test's own.
    pub(crate) fn publish(&self) {
        use tlb_shootdown::arch::powerpc::instructions::Instructions;
        ModelInstructions::new(self.model.clone()).ptesync();
    }

    pub(crate) fn sink(&self) -> Sink {
        Sink(self.model.clone())
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
