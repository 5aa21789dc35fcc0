//! Memory is taken back from four processes, eight pages of each: page by page, and in a batch: `cargo run --example reclaim`.
//!
//! The machine is the model, with two CPUs that run all four processes in turn. In a kernel the page-table lock of the process is held around
//! each store and its `add`, and the frames are the batch's to release.

use std::sync::Mutex;
use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::arch::aarch64::{Aarch64, Config, granule::Granule};
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{FrameSink, Frames, Item};
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

type Arch = Aarch64<ModelInstructions, 1>;
type Engine = Shootdown<ModelPlatform<Arch>, 1>;

const PROCESSES: usize = 4;
const PAGES: u64 = 8;

/// Where frames go that nobody uses any more.
#[derive(Default)]
struct Allocator(Mutex<usize>);

impl FrameSink<1> for Allocator {
    fn release_frame(&self, _: PhysAddr, _: PageSize) {
        *self.0.lock().expect("one thread") += 1;
    }

    fn release_table(&self, _: PhysAddr) {}

    fn quarantine(&self, items: &[Item], error: &Incomplete<1>) {
        println!("{} frames are lost: {error}", items.len());
    }
}

struct Process {
    space: AddressSpace<Arch, 1>,
    tables: Tables,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::new(2, Temper::Late);
    let platform = ModelPlatform::new(model.clone());
    let arch = Aarch64::new(
        ModelInstructions::new(model.clone()),
        Config::new(Granule::Kib4),
    );
    let engine = Engine::new(platform, arch);
    for cpu in [1, 0] {
        engine.platform().set_current(cpu);
        engine.cpu_online()?;
    }
    engine.arch().seal_features();

    let processes = start(&engine, &model)?;
    let mut total = Cost::ZERO;
    for (process, page) in every_page(&processes) {
        process.tables.unmap(0, page);
        // Only now may the frame be reused: one shootdown for each page.
        total += engine.flush_page(&process.space, VirtAddr::new(page), PageSize::KIB_4)?;
    }
    show("page by page", &total);

    let processes = start(&engine, &model)?;
    let allocator = Allocator::default();
    let frames = Frames::inline::<{ PROCESSES * PAGES as usize }>(&allocator);
    let mut batch = Reclaim::<_, 1, PROCESSES, _>::holding(&engine, frames);
    for (process, page) in every_page(&processes) {
        let frame = process.tables.unmap(0, page).ok_or("mapped above")?;
        // Recorded, and nothing issued: CPUs may go on using the page, and the frame is the batch's.
        batch.add(
            &process.space,
            Flush::page(VirtAddr::new(page), PageSize::KIB_4),
        )?;
        batch
            .held()
            .push(Item::Frame {
                base: PhysAddr::new(frame),
                size: PageSize::KIB_4,
            })
            .map_err(|_| "as many places as pages")?;
    }

    // Somebody wants to map a page of the first process at an address that looks free. Its old entry may still be in a TLB.
    let first = processes.first().ok_or("there are some")?;
    let early = engine.flush_pending(&first.space)?;
    println!(
        "before an address is used again: {} invalidation",
        early.invalidations
    );

    show("in a batch", &batch.flush()?);
    drop(batch);
    let released = *allocator.0.lock().map_err(|_| "one thread")?;
    println!("{released} frames came free");
    for violation in model.violations() {
        println!("the machine objects: {violation}");
    }
    Ok(())
}

/// New processes whose pages both CPUs have in their TLBs.
fn start(engine: &Engine, model: &Model) -> Result<Vec<Process>, Box<dyn std::error::Error>> {
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let process = Process {
            space: engine.new_space(),
            tables: model.tables(),
        };
        for page in pages() {
            let frame = model.allocate(0x1000);
            let mapping = Mapping::page(frame, Rights::ReadWrite);
            process.tables.map(0, page, mapping);
        }
        ModelBarriers::new(model.clone()).publish_tables();
        for cpu in [1, 0] {
            engine.platform().set_current(cpu);
            let id = engine.switch_to(&process.space)?;
            engine
                .platform()
                .load(process.space.id(), process.tables.root(), id);
            engine.root_loaded();
            for page in pages() {
                model.cpu(cpu).read(page)?;
            }
        }
        processes.push(process);
    }
    Ok(processes)
}

fn pages() -> impl Iterator<Item = u64> {
    (0..PAGES).map(|n| 0x40_0000 + n * 0x1000)
}

fn every_page(processes: &[Process]) -> impl Iterator<Item = (&Process, u64)> {
    processes
        .iter()
        .flat_map(|process| pages().map(move |page| (process, page)))
}

fn show(how: &str, cost: &Cost) {
    println!(
        "{how:>12}: {} store barriers, {} invalidations, {} completion barriers",
        cost.store_barriers, cost.invalidations, cost.completion_barriers
    );
}
