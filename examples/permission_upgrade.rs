//! A read-only page becomes writable: what each CPU sees until it is flushed, and what an upgrade costs where fault handlers repair
//! spurious faults: `cargo run --example permission_upgrade`.
//!
//! What a device sees of the same, and why it has to be told, is in the example `attach_device`.

mod support;

use support::{FIRST, Failure, Machine, pages_of, show};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::shootdown::UpgradeStep;
use tlb_shootdown_model::memory::descriptor::Rights;

const PAGES: u64 = 8;

fn main() -> Result<(), Failure> {
    let machine = Machine::new()?;
    let engine = &machine.engine;
    let other = machine.model.cpu(1);

    // Without a flush the other CPU keeps the entry that forbids it to write, for as long as it likes.
    let process = machine.process(PAGES, Rights::ReadOnly)?;
    process.tables.protect(0, FIRST, Rights::ReadWrite);
    println!("no flush: CPU 1 writes {:?}", other.write(FIRST, 1));

    // The upgrade as the crate makes it: the kernel's part is the store, in as many steps as those who share the table need. On
    // a POWER9 with an accelerator that would be two, with the entry invalid in between.
    let mut total = Cost::ZERO;
    for page in pages_of(PAGES) {
        let flush = Flush::page(VirtAddr::new(page), PageSize::KIB_4);
        total += engine.upgrade(&process.space, flush, |step| match step {
            UpgradeStep::Invalidate => drop(process.tables.unmap(0, page)),
            UpgradeStep::Widen => process.tables.protect(0, page, Rights::ReadWrite),
        })?;
    }
    println!("upgraded: CPU 1 writes {:?}", other.write(FIRST, 2));
    show("page by page", &total);

    // Several at once: all stores, then one flush.
    let process = machine.process(PAGES, Rights::ReadOnly)?;
    for page in pages_of(PAGES) {
        process.tables.protect(0, page, Rights::ReadWrite);
    }
    let range = PageRange::from_len(VirtAddr::new(FIRST), PAGES << 12, PageSize::KIB_4)?;
    let flush = Flush::pages(range).leaf_only().leaf_size(PageSize::KIB_4);
    show("all at once", &engine.flush_upgrade(&process.space, flush)?);

    // Where every fault handler repairs spurious faults, other CPUs are left to find out: this CPU flushes its own entry alone.
    engine.platform().set_repairs_spurious_faults(true);
    let process = machine.process(1, Rights::ReadOnly)?;
    process.tables.protect(0, FIRST, Rights::ReadWrite);
    let flush = Flush::page(VirtAddr::new(FIRST), PageSize::KIB_4);
    show(
        "left to faults",
        &engine.flush_upgrade(&process.space, flush)?,
    );
    println!("   fault: CPU 1 writes {:?}", other.write(FIRST, 3));
    engine.platform().set_current(1);
    engine.fix_spurious_fault(&process.space, VirtAddr::new(FIRST), PageSize::KIB_4)?;
    println!("repaired: CPU 1 writes {:?}", other.write(FIRST, 3));
    machine.judge()
}
