//! What lives as long as a run.

use super::device::Device;
use super::platform::Ground;
use super::sink::Sink;
use crate::input::Input;
use std::sync::Arc;
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::Needs;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::cpu::x86_64::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::platform::ModelPlatform;
use tlb_shootdown_model::{Model, Temper};

pub(super) type Arch = X86_64<ModelInstructions, 1>;
pub(super) type Engine = Shootdown<Ground, 1>;
pub(super) type Space = AddressSpace<Arch, 1>;

pub(super) const CPUS: usize = 3;
pub(super) const SPACES: usize = 2;

/// Turns that a shootdown may take.
pub(super) const PATIENCE: u64 = 50;

/// What the device may rely on, or need.
const NEEDS: [Needs; 5] = [
    Needs::UPGRADES,
    Needs::empty(),
    Needs::UPGRADES.union(Needs::KERNEL_TABLES),
    Needs::UPGRADES.union(Needs::BREAKS_UPGRADES),
    Needs::UPGRADES.union(Needs::AT_ADD),
];

thread_local! {
    /// One for each thread: what is attached lives for ever.
    static DEVICE: &'static Device = Box::leak(Box::default());
}

pub(super) struct Machine {
    pub(super) model: Model,
    pub(super) sink: Sink,
    pub(super) ground: Ground,
    pub(super) engine: Arc<Engine>,
    pub(super) kernel: Tables,
    /// Where CPUs that are offline wait: nothing of the kernel's half that changes is reached from here.
    pub(super) parked: Tables,
    pub(super) spaces: Vec<(Space, Tables)>,
    pub(super) device: &'static Device,
}

impl Machine {
    pub(super) fn new(input: &mut Input<'_>) -> Self {
        let features = input.pick(&[CpuFeatures::PLAIN, CpuFeatures::BROADCASTS]);
        let temper = match input.below(4) {
            0 => Temper::Late,
            seed => Temper::Seeded(seed + (input.below(256) << 2)),
        };
        let model = Model::with_x86_cpus(&[features; CPUS], temper);
        let ground = Ground::new(ModelPlatform::new(model.clone()));
        ground.model.set_repairs_spurious_faults(input.flag());
        ground.model.set_clock(input.flag());
        let arch = Arch::new(ModelInstructions::new(model.clone()), Config::new());
        let patience = Patience {
            nanoseconds: PATIENCE * 1000,
            turns: PATIENCE,
        };
        let engine = Arc::new(Engine::with_patience(ground.clone(), arch, patience));
        handle_interrupts(&ground, &engine, input.flag());
        let device = DEVICE.with(|device| *device);
        *device.state() = Default::default();
        device.state().needs = input.pick(&NEEDS);
        let registered = engine.register_instance(device);
        registered.expect("the first");
        let kernel = model.x86_tables();
        let parked = model.x86_tables();
        for cpu in 0..CPUS {
            model.cpu(cpu).run_kernel(kernel.root());
            model.cpu(cpu).run_nothing();
            ground.model.set_current(cpu);
            engine.cpu_online().expect("alike and few");
        }
        engine.arch().seal_features();
        ground.model.set_current(0);
        Self {
            sink: Sink::new(model.clone(), device),
            spaces: (0..SPACES)
                .map(|_| (engine.new_space(), model.x86_tables()))
                .collect(),
            model,
            ground,
            engine,
            kernel,
            parked,
            device,
        }
    }

    pub(super) fn me(&self) -> usize {
        self.ground.cpu().index()
    }

    pub(super) fn on<R>(&self, cpu: usize, f: impl FnOnce() -> R) -> R {
        let me = self.me();
        self.ground.model.set_current(cpu);
        let irqs_off = self.ground.irq_save();
        let result = f();
        drop(irqs_off);
        self.ground.model.set_current(me);
        result
    }

    /// `wait` ends within so many patiences.
    pub(super) fn in_time<R>(&self, patiences: u64, wait: impl FnOnce() -> R) -> R {
        self.ground.take_turns();
        let result = wait();
        let turns = self.ground.take_turns();
        assert!(turns <= patiences * (PATIENCE + 2), "waited {turns} turns");
        result
    }
}

fn handle_interrupts(ground: &Ground, engine: &Arc<Engine>, has_nmis: bool) {
    let handler = Arc::downgrade(engine);
    ground.model.set_handler(move || {
        if let Some(engine) = handler.upgrade() {
            engine.on_ipi();
        }
    });
    if has_nmis {
        let handler = Arc::downgrade(engine);
        ground.set_nmi_handler(move || {
            if let Some(engine) = handler.upgrade() {
                engine.on_nmi();
            }
        });
    }
}
