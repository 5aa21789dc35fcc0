//! Whether a kernel's port keeps its contract, by the conformance suite of `tlb-shootdown-model`: `cargo run --example prove_a_port`.
//!
//! The port here is the model's, with CPUs that the thread plays in turn. In a kernel the same calls run on the target, with
//! `tlb-shootdown-model = { default-features = false }`: `on-target/aarch64/tests/conformance.rs` does that.

use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::arch::aarch64::{Aarch64, Config, granule::Granule};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::conformance::{self, Agent, Cpus, Entry, Frame, Port, Probe, Window};
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::{IpiScript, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

type Arch = Aarch64<ModelInstructions, 1>;

const CPUS: u32 = 3;
const FIRST: u64 = 0x40_0000;

/// What the kernel supplies: its CPUs, and test pages that all of them run.
struct Kernel {
    engine: &'static Shootdown<ModelPlatform<Arch>, 1>,
    space: AddressSpace<Arch, 1>,
    platform: ModelPlatform<Arch>,
    tables: Tables,
    frames: [u64; 2],
}

impl Kernel {
    fn me(&self) -> usize {
        self.platform.cpu().index()
    }
}

/// Whatever runs a function on another CPU.
impl Cpus for Kernel {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        let caller = self.me();
        self.platform.set_current(cpu.index());
        work();
        self.platform.set_current(caller);
    }
}

/// Accesses of this CPU in the manner of user mode, whose faults are caught and repaired by nobody.
impl Agent for Kernel {
    fn read(&self, page: usize) -> Option<u64> {
        let cpu = self.platform.model().cpu(self.me());
        cpu.read(self.address(page).raw()).ok()
    }

    fn write(&self, page: usize) -> bool {
        let cpu = self.platform.model().cpu(self.me());
        cpu.write(self.address(page).raw() + 8, 1).is_ok()
    }
}

/// The page table: stores of entries, and nothing else.
impl Window for Kernel {
    fn page_size(&self) -> PageSize {
        PageSize::KIB_4
    }

    fn address(&self, page: usize) -> VirtAddr {
        VirtAddr::new(FIRST + page as u64 * 0x1000)
    }

    fn store(&self, page: usize, entry: Entry) {
        let at = self.address(page).raw();
        let (frame, rights) = match entry {
            Entry::ReadOnly(frame) => (frame, Rights::ReadOnly),
            Entry::ReadWrite(frame) => (frame, Rights::ReadWrite),
            Entry::Nothing => {
                self.tables.unmap(self.me(), at);
                return;
            }
        };
        let mapping = Mapping::page(self.frames[frame as usize], rights);
        self.tables.map(self.me(), at, mapping);
    }
}

/// Neither a device nor kernel pages: what takes them is not checked, and the suite says so.
impl Probe for Kernel {
    /// For the idle task, which keeps the root of whoever ran last.
    fn idle(&self) -> bool {
        self.engine.enter_lazy();
        true
    }
}

/// All of it together. A driver of an IOMMU would be named here as well.
impl Port<1> for Kernel {
    type Platform = ModelPlatform<Arch>;

    fn engine(&self) -> &Shootdown<ModelPlatform<Arch>, 1> {
        self.engine
    }

    fn space(&self) -> &AddressSpace<Arch, 1> {
        &self.space
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::new(CPUS as usize, Temper::Late);
    let platform = ModelPlatform::new(model.clone());
    let instructions = ModelInstructions::new(model.clone());
    let arch = Arch::new(instructions, Config::new(Granule::Kib4));
    let engine: &'static _ = Box::leak(Box::new(Shootdown::<_, 1>::new(platform.clone(), arch)));
    platform.set_handler(|| engine.on_ipi());

    let kernel = Kernel {
        engine,
        space: engine.new_space(),
        tables: model.tables(),
        frames: [Frame::First, Frame::Second].map(|frame| {
            let pa = model.allocate(0x1000);
            model.poke(pa, frame.word());
            pa
        }),
        platform,
    };
    let run = |cpu: u32| {
        kernel.run_on(CpuId::new(cpu), &|| {
            engine.cpu_online().expect("all CPUs are alike");
            let id = engine.switch_to(&kernel.space).expect("an identifier");
            kernel
                .platform
                .load(kernel.space.id(), kernel.tables.root(), id);
            engine.root_loaded();
        });
    };
    (0..CPUS).for_each(run);
    engine.arch().seal_features();

    println!("{}", conformance::run(&kernel)?);

    // A port that is wrong: CPU 1 is not interrupted any more.
    kernel.platform.script_ipis(1, IpiScript::Lose);
    match conformance::platform(engine, &kernel) {
        Ok(passed) => println!("nothing found: {passed}"),
        Err(failure) => println!("broken:   {failure}"),
    }
    Ok(())
}
