//! Mistakes of the CPUs' side.

use crate::aarch64::{flush_user, full, on, pages, tlbis};
use crate::support::{FakeTlb, Machine, Point, kernel_page, leaf};
use crate::x86_64::{MFENCE, one};
use std::sync::{Arc, Mutex};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::{Arch, Entries, Reach};
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::change::Reason;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Needs};

/// Linux 83b0177a6c48: `switch_mm` set the CPU's bit in the mask by a locked instruction and relied on that as the barrier before the new
/// root was walked; where the bit was set already there was none, and a flush that had looked before missed this CPU's first walk.
#[test]
fn switch_of_a_member_was_not_ordered_before_its_first_walk() {
    let world = one();
    let [a, b] = [world.space(), world.space()];
    for space in [&a, &b, &a, &a] {
        world.take();
        world.run(0, space);
        assert!(world.take().contains(&MFENCE), "member or not");
    }
}

/// Linux on AArch64 issued the TLBIs of a batched unmap page by page and left the DSB to whoever flushed the batch. A DSB waits for what its own
/// CPU has issued: after a migration it proved nothing, and the pages were freed.
#[test]
fn batched_unmap_was_completed_on_another_cpu() {
    let (machine, engine) = Machine::new(3, true);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, 0..3, 7);
    machine.unmap(space, 7);
    let mut batch = Reclaim::<_, 1, 2>::new(engine);
    machine.on(0, || batch.add(space, leaf(7)).unwrap());
    machine.on(1, || batch.flush().unwrap());
    assert_eq!(machine.cached(space, 7), [None; 3]);
}

/// The same of a single flush whose ticket is waited for on another CPU than the one that started it.
#[test]
fn ticket_was_completed_on_another_cpu() {
    let (machine, engine) = Machine::new(3, true);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, 0..3, 7);
    machine.unmap(space, 7);
    let ticket = machine.on(0, || engine.start(space, leaf(7)).unwrap());
    machine.on(1, || ticket.wait().unwrap());
    assert_eq!(machine.cached(space, 7), [None; 3]);
}

/// Linux unshared a table of huge pages and flushed last-level entries: walk caches led to the table for as long as they liked, and it was
/// another process's by then.
#[test]
fn unshared_table_stayed_in_the_walk_caches() {
    let machine = full();
    let range = pages(0x4000_0000, 2 << 20, PageSize::KIB_4);
    let flush = machine.decide(Reason::TableUnshared).flush(range, None);
    let entries = Entries::from(&flush);
    let (executed, _) = flush_user(&machine, 1, &range, entries, Reach::Broadcast);
    // RVAE1IS and not RVALE1IS: ASID 1, TG = 1, SCALE = 1, NUM = 7 for 512 pages (Arm ARM C5.5).
    assert_eq!(
        tlbis(&executed),
        [on("tlbi rvae1is", 0x0001_5380_0004_0000)]
    );
}

/// Linux from 6.6 on, "arm64: tlb: Fix TLBI RANGE operand": 32 units of the largest scale were cut to five bits, NUM became -1, and the whole
/// range was skipped.
#[test]
fn range_of_the_most_pages_was_skipped() {
    let range = pages(0, 1 << 33, PageSize::KIB_4);
    let entries = Entries::from(&Flush::pages(range).leaf_only());
    let (executed, _) = flush_user(&full(), 1, &range, entries, Reach::Broadcast);
    // ASID 1, TG = 1, SCALE = 3, NUM = 31.
    assert_eq!(
        tlbis(&executed),
        [on("tlbi rvale1is", 0x0001_7f80_0000_0000)]
    );
}

/// An acknowledgement that comes before the flush is enough for who waits and too little for the CPU that gave it: the memory is somebody
/// else's while the old entry is still in use (FreeBSD and NrOS, which rely on more than a crate can).
#[test]
fn request_was_acknowledged_before_it_was_carried_out() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, 0..2, 7);
    machine.unmap(space, 7);
    let ticket = Arc::new(Mutex::new(engine.start(space, leaf(7)).unwrap()));
    let seen = Arc::new(Mutex::new(None));
    let (watched, looks) = (ticket.clone(), seen.clone());
    // CPU 1 has taken the request and dropped nothing yet.
    machine.at(Point::BeforeComplete, move || {
        let pending = machine.on(0, || watched.lock().unwrap().poll().is_pending());
        *looks.lock().unwrap() = Some(pending);
    });
    machine.on(1, || engine.on_ipi());
    assert_eq!(*seen.lock().unwrap(), Some(true));
    assert!(ticket.lock().unwrap().poll().is_ready());
}

/// Who waits with interrupts off has to answer others in the wait, or two CPUs that shoot each other wait for ever (asterinas #1158, #1602, #1952;
/// Uros #317).
#[test]
fn wait_with_interrupts_off_answered_nobody() {
    let (machine, engine) = Machine::new(2, false);
    let [theirs, mine] = [machine.new_space(), machine.new_space()];
    for space in [theirs, mine] {
        machine.map(space, 7, 1);
        machine.run_on(space, 0..2, 7);
        machine.unmap(space, 7);
    }
    machine.set_auto(1, false);
    let mut asked = engine.start(theirs, leaf(7)).unwrap();
    machine.on(1, || {
        machine.with_irqs_off(|| engine.flush(mine, leaf(7)).unwrap());
    });
    assert!(asked.poll().is_ready());
    assert_eq!(machine.cached(theirs, 7), [None; 2]);
}

/// Linux on x86-64 with shared virtual addressing, CVE-2025-71202: devices walk the process's root, whose upper half is the kernel's, and
/// nobody told the IOMMU when tables of that half were freed.
#[test]
fn freed_kernel_table_was_walked_by_devices() {
    let (machine, engine) = Machine::new(2, false);
    let iommu = FakeTlb::new(machine, "iommu", Needs::KERNEL_TABLES);
    engine.register_instance(iommu).unwrap();
    let space = machine.new_space();
    let key = AttachKey(space.id().raw());
    let _attached = engine.attach(space, iommu, key).unwrap();
    engine.flush_kernel_tables(kernel_page(1)).unwrap();
    assert_eq!(iommu.queued().len(), 1);
    assert!(!iommu.has_unsealed());
}
