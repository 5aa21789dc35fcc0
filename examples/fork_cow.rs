//! A process forks: its pages become read-only, once for all; then each page that is written is copied: `cargo run --example fork_cow`.
//!
//! The copy is a change of the output address. The old entry has to be gone everywhere before the new one is stored (break-before-make):
//! else one CPU reads the old page while another writes the new.

mod support;

use support::{FIRST, Failure, Machine, pages_of, show};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::flush::Flush;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::platform::ModelBarriers;

const PAGES: u64 = 8;

fn main() -> Result<(), Failure> {
    let machine = Machine::new()?;
    let engine = &machine.engine;

    // Page by page, for comparison.
    let process = machine.process(PAGES, Rights::ReadWrite)?;
    let mut total = Cost::ZERO;
    for page in pages_of(PAGES) {
        process.tables.protect(0, page, Rights::ReadOnly);
        total += engine.flush_page(&process.space, VirtAddr::new(page), PageSize::KIB_4)?;
    }
    show("protected one by one", &total);

    // All stores first, then one flush: a child must not see what its parent writes after the fork.
    let process = machine.process(PAGES, Rights::ReadWrite)?;
    for page in pages_of(PAGES) {
        process.tables.protect(0, page, Rights::ReadOnly);
    }
    println!(
        "before: CPU 1 writes {:?}",
        machine.model.cpu(1).write(FIRST, 7)
    );
    let range = PageRange::from_len(VirtAddr::new(FIRST), PAGES << 12, PageSize::KIB_4)?;
    let flush = Flush::pages(range).leaf_only().leaf_size(PageSize::KIB_4);
    show("protected at once", &engine.flush(&process.space, flush)?);
    println!(
        " after: CPU 1 writes {:?}",
        machine.model.cpu(1).write(FIRST, 7)
    );

    // The fault on a write: break, flush, make.
    let copy = machine.model.allocate(0x1000);
    let original = process.tables.unmap(0, FIRST).ok_or("mapped above")?;
    let broken = engine.flush_page(&process.space, VirtAddr::new(FIRST), PageSize::KIB_4)?;
    show("copied on a write", &broken);
    // From here on the machine excuses nobody who still has the old entry.
    let root = process.tables.root();
    machine.model.returned(root, FIRST, FIRST + 0xfff);
    machine.model.poke(copy, machine.model.peek(original));
    process
        .tables
        .map(0, FIRST, Mapping::page(copy, Rights::ReadWrite));
    ModelBarriers::new(machine.model.clone()).publish_tables();
    println!(
        " then: CPU 1 writes {:?}",
        machine.model.cpu(1).write(FIRST, 8)
    );
    println!(
        "the original holds {}, the copy {}",
        machine.model.peek(original),
        machine.model.peek(copy)
    );
    machine.judge()
}
