//! Memory is taken back from four processes, eight pages of each: page by page, and in a batch: `cargo run --example reclaim`.
//!
//! In a kernel the page-table lock of the process is held around each store and its `add`.

mod support;

use support::{Allocator, FIRST, Failure, Machine, Process, pages_of, show};
use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::memory::descriptor::Rights;

const PROCESSES: usize = 4;
const PAGES: u64 = 8;

fn main() -> Result<(), Failure> {
    let machine = Machine::new()?;
    let engine = &machine.engine;

    // Without a batch: one shootdown for each page, for only then may its frame be used for something else.
    let processes = start(&machine)?;
    let mut total = Cost::ZERO;
    for (process, page) in every_page(&processes) {
        process.tables.unmap(0, page);
        total += engine.flush_page(&process.space, VirtAddr::new(page), PageSize::KIB_4)?;
    }
    show("page by page", &total);

    // With one: recorded, and nothing issued. CPUs may go on using the pages, so the frames are the batch's.
    let processes = start(&machine)?;
    let allocator = Allocator::new(&machine);
    let frames = Frames::inline::<{ PROCESSES * PAGES as usize }>(&allocator);
    let mut batch = Reclaim::<_, 1, PROCESSES, _>::holding(engine, frames);
    for (process, page) in every_page(&processes) {
        let frame = process.tables.unmap(0, page).ok_or("mapped above")?;
        let flush = Flush::page(VirtAddr::new(page), PageSize::KIB_4);
        batch.add(&process.space, flush)?;
        let item = Item::Frame {
            base: PhysAddr::new(frame),
            size: PageSize::KIB_4,
        };
        batch
            .held()
            .push(item)
            .map_err(|_| "as many places as pages")?;
    }

    // Somebody is to map something at an address that looks free. Its old entry may still be in a TLB, and is flushed first.
    let first = processes.first().ok_or("there are four")?;
    let stale = machine.model.cpu(1);
    machine.run(1, first)?;
    println!("before: CPU 1 reads {:?}", stale.read(FIRST));
    show("address used again", &engine.flush_pending(&first.space)?);
    println!(" after: CPU 1 reads {:?}", stale.read(FIRST));

    show("in a batch", &batch.flush()?);
    println!("{} frames came free", allocator.released());
    machine.judge()
}

fn start(machine: &Machine) -> Result<Vec<Process>, Failure> {
    (0..PROCESSES)
        .map(|_| machine.process(PAGES, Rights::ReadWrite))
        .collect()
}

fn every_page(processes: &[Process]) -> impl Iterator<Item = (&Process, u64)> {
    processes
        .iter()
        .flat_map(|process| pages_of(PAGES).map(move |page| (process, page)))
}
