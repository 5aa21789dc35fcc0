//! The library on a modelled machine, and a small kernel on top.

use crate::faulty::{Defect, Faulty};
use crate::random_kernel::{self, lend};
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::arch::HardwareId;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Aarch64, Config};
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::cpu::{CpuFeatures, CpuPort, ModelInstructions};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

pub(crate) type Arch = Aarch64<Faulty, 1>;
pub(crate) type Platform = ModelPlatform<Arch>;
pub(crate) type Engine = Shootdown<Platform, 1>;
pub(crate) type Process = random_kernel::Process<Arch>;

/// CPUs, the engine, and no process yet. The test is CPU 0.
pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) platform: Platform,
    pub(crate) engine: &'static Engine,
    pub(crate) kernel: Tables,
    pub(crate) parts: Parts,
}

/// What a rig is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) cpus: usize,
    pub(crate) features: CpuFeatures,
    pub(crate) temper: Temper,
    pub(crate) defect: Defect,
    pub(crate) kpti: bool,
    pub(crate) wide_asids: bool,
}

impl Parts {
    pub(crate) const fn new(temper: Temper) -> Self {
        Self {
            cpus: 2,
            features: CpuFeatures {
                range: true,
                ttl: true,
                repeat_tlbi: false,
                resizes: false,
            },
            temper,
            defect: Defect::None,
            kpti: false,
            wide_asids: true,
        }
    }
}

impl Rig {
    pub(crate) fn new(parts: Parts) -> Self {
        let model = Model::with_cpus(&vec![parts.features; parts.cpus], parts.temper);
        let instructions = Faulty::new(ModelInstructions::new(model.clone()), parts.defect);
        let platform = Platform::new(model.clone());
        let arch = Arch::new(instructions, config(&parts));
        let engine: &'static Engine = lend(Engine::new(platform.clone(), arch));
        platform.set_handler(move || engine.on_ipi());
        let kernel = model.tables();
        for cpu in 0..parts.cpus {
            platform.set_current(cpu);
            model.cpu(cpu).run_kernel(kernel.root());
            engine.cpu_online().unwrap();
        }
        engine.arch().seal_features();
        platform.set_current(0);
        Self {
            model,
            platform,
            engine,
            kernel,
            parts,
        }
    }

    pub(crate) fn process(&self) -> Process {
        Process {
            space: lend(self.engine.new_space()),
            tables: self.model.tables(),
        }
    }

    /// This CPU switches to the process, and the test goes on as CPU 0.
    pub(crate) fn switch(&self, cpu: usize, process: &Process) -> HardwareId {
        self.platform.set_current(cpu);
        let irqs_off = self.platform.irq_save();
        let id = self.engine.switch_to(process.space).unwrap();
        self.platform
            .load(process.space.id(), process.tables.root(), id);
        drop(irqs_off);
        self.platform.set_current(0);
        id
    }

    pub(crate) fn cpu(&self, cpu: usize) -> CpuPort {
        self.model.cpu(cpu)
    }

    /// Makes every store visible to every walker, as by a barrier of the test's own.
    pub(crate) fn publish(&self) {
        ModelBarriers::new(self.model.clone()).publish_tables();
    }

    /// Tells the oracle that the kernel relies on a flush of everything in the process.
    pub(crate) fn returned(&self, process: &Process) {
        self.model.returned(process.tables.root(), 0, u64::MAX);
    }

    pub(crate) fn sink(&self) -> Sink {
        Sink(self.model.clone())
    }
}

fn config(parts: &Parts) -> Config {
    let mut config = Config::new(Granule::Kib4);
    if parts.kpti {
        config = config.kpti();
    }
    if parts.wide_asids {
        config = config.wide_asids();
    }
    config
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
