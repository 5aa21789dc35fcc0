//! The machine of the examples: the model, with two AArch64 CPUs, a library engine on it, and processes.
//!
//! In a kernel `ModelPlatform` and `ModelInstructions` are the kernel's `Platform` and `instructions::Asm`; the calls are the same.
#![allow(dead_code, reason = "each example uses a part of it")]

use std::cell::Cell;
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::arch::aarch64::{Aarch64, Config, granule::Granule};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

pub(crate) type Failure = Box<dyn std::error::Error>;
pub(crate) type Arch = Aarch64<ModelInstructions, 1>;
pub(crate) type Engine = Shootdown<ModelPlatform<Arch>, 1>;

/// The first page of every process.
pub(crate) const FIRST: u64 = 0x40_0000;

pub(crate) struct Machine {
    pub(crate) model: Model,
    pub(crate) engine: Engine,
}

pub(crate) struct Process {
    pub(crate) space: AddressSpace<Arch, 1>,
    pub(crate) tables: Tables,
}

impl Machine {
    /// Both CPUs have started; the calling thread is CPU 0.
    pub(crate) fn new() -> Result<Self, Failure> {
        let model = Model::new(2, Temper::Late);
        let arch = Aarch64::new(
            ModelInstructions::new(model.clone()),
            Config::new(Granule::Kib4),
        );
        let engine = Engine::new(ModelPlatform::new(model.clone()), arch);
        for cpu in [1, 0] {
            engine.platform().set_current(cpu);
            engine.cpu_online()?;
        }
        engine.arch().seal_features();
        Ok(Self { model, engine })
    }

    /// A process with so many pages of these rights, which both CPUs run and have in their TLBs.
    pub(crate) fn process(&self, pages: u64, rights: Rights) -> Result<Process, Failure> {
        let process = Process {
            space: self.engine.new_space(),
            tables: self.model.tables(),
        };
        for page in pages_of(pages) {
            let frame = self.model.allocate(0x1000);
            process.tables.map(0, page, Mapping::page(frame, rights));
        }
        // New entries have to be made visible to walkers; of entries that go, the flush takes care.
        ModelBarriers::new(self.model.clone()).publish_tables();
        for cpu in [1, 0] {
            self.run(cpu, &process)?;
            for page in pages_of(pages) {
                self.model.cpu(cpu).read(page)?;
            }
        }
        Ok(process)
    }

    /// The context switch of this CPU to the process.
    pub(crate) fn run(&self, cpu: usize, process: &Process) -> Result<(), Failure> {
        let platform = self.engine.platform();
        platform.set_current(cpu);
        let id = self.engine.switch_to(&process.space)?;
        platform.load(process.space.id(), process.tables.root(), id);
        self.engine.root_loaded();
        platform.set_current(0);
        Ok(())
    }

    /// What the machine has to object to: a stale entry that was used, a frame that came free too early.
    pub(crate) fn judge(&self) -> Result<(), Failure> {
        match self.model.violations().first() {
            Some(violation) => Err(format!("the machine objects: {violation}").into()),
            None => Ok(()),
        }
    }
}

/// The addresses of so many pages.
pub(crate) fn pages_of(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|n| FIRST + n * 0x1000)
}

/// Where memory goes that nobody uses any more.
pub(crate) struct Allocator<'m> {
    model: &'m Model,
    released: Cell<usize>,
}

impl<'m> Allocator<'m> {
    pub(crate) fn new(machine: &'m Machine) -> Self {
        Self {
            model: &machine.model,
            released: Cell::new(0),
        }
    }

    pub(crate) fn released(&self) -> usize {
        self.released.get()
    }

    fn release(&self, base: PhysAddr) {
        self.model.free(base.raw());
        self.released.set(self.released.get() + 1);
    }
}

impl FrameSink<1> for Allocator<'_> {
    fn release_frame(&self, base: PhysAddr, _: PageSize) {
        self.release(base);
    }

    fn release_table(&self, base: PhysAddr) {
        self.release(base);
    }

    fn quarantine(&self, items: &[Item], error: &Incomplete<1>) {
        println!("{} pieces of memory are lost: {error}", items.len());
    }
}

/// One line: what was done, and what it took.
pub(crate) fn show(how: &str, cost: &Cost) {
    println!(
        "{how:>24}: {:2} store barriers, {:2} invalidations, {:2} completion barriers",
        cost.store_barriers, cost.invalidations, cost.completion_barriers
    );
}
