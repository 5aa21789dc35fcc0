//! A process unmaps sixteen pages and the table that held them, and the memory comes free: page by page, and gathered:
//! `cargo run --example unmap_and_free`.
//!
//! In a kernel the page-table lock is held around the stores and what is gathered.

mod support;

use support::{Allocator, FIRST, Failure, Machine, pages_of, show};
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::batch::Gather;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::ticket::Frames;
use tlb_shootdown_model::memory::descriptor::Rights;

const PAGES: u64 = 16;

fn main() -> Result<(), Failure> {
    let machine = Machine::new()?;
    let engine = &machine.engine;

    let process = machine.process(PAGES, Rights::ReadWrite)?;
    let mut total = Cost::ZERO;
    for page in pages_of(PAGES) {
        let frame = process.tables.unmap(0, page).ok_or("mapped above")?;
        total += engine.flush_page(&process.space, VirtAddr::new(page), PageSize::KIB_4)?;
        machine.model.free(frame);
    }
    show("page by page", &total);

    let process = machine.process(PAGES, Rights::ReadWrite)?;
    let allocator = Allocator::new(&machine);
    // Storage for fewer pieces than there are: what is full is flushed early, and nothing is lost.
    let frames = Frames::inline::<12>(&allocator);
    let mut gather = Gather::new(engine, &process.space, frames)?;
    for page in pages_of(PAGES) {
        let frame = process.tables.unmap(0, page).ok_or("mapped above")?;
        let frame = Some(PhysAddr::new(frame));
        gather.unmap(VirtAddr::new(page), PageSize::KIB_4, frame)?;
    }
    println!("{} pieces free before the end", allocator.released());

    // The table goes too: walk caches that lead to it are flushed with the pages.
    let table = process.tables.unhang_table(0, FIRST).ok_or("hung above")?;
    let covered = PageRange::page(VirtAddr::new(FIRST), PageSize::MIB_2);
    gather.free_table(covered.with_stride(PageSize::KIB_4), PhysAddr::new(table))?;
    show("gathered", &gather.finish()?);
    println!("{} pieces free at the end", allocator.released());

    println!("CPU 1 reads {:?}", machine.model.cpu(1).read(FIRST));
    machine.judge()
}
