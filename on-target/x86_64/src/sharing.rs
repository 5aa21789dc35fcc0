//! What tests of devices that come, go and share do: what the table's cells do not show, behind every IOMMU alike.
//!
//! Each function is one test, on a machine that was just started, and panics where something is wrong.
#![allow(clippy::missing_panics_doc, reason = "they are tests")]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::flush;
use tlb_shootdown::ticket::{FrameSink, Frames, Item};
use tlb_shootdown_on_target_devices::Written;
use tlb_shootdown_scenarios::{
    Access, Flush, Frame, Machine, Mapping, Observer, Page, Refusal, Rights,
};

use crate::machine::Emulated;
use crate::platform::{ENGINE, WORDS};
use crate::{cpus, memory, process};

/// A page that the device uses.
pub const PAGE: Page = Page(1);
/// Another one.
pub const OTHER_PAGE: Page = Page(4);
const ADDRESS: u64 = process::address(PAGE.0 as usize);

/// A writable mapping of frame number `frame`.
pub fn to(frame: u8) -> Option<Mapping> {
    Some(Mapping {
        frame: Frame(frame),
        rights: Rights::ReadWrite,
    })
}

/// A machine whose devices share a space with a page that leads to frame 0.
pub fn machine() -> Emulated {
    let mut machine = Emulated::new().expect("the machine comes up");
    machine
        .reset(Observer::Device)
        .expect("the devices are attached");
    machine.change(PAGE, to(0)).expect("a store");
    machine
}

/// Has the device write to the page.
pub fn device_writes(machine: &mut Emulated, word: u64) -> Access {
    machine
        .write(Observer::Device, PAGE, word)
        .expect("the device works")
}

/// Whether an access ended because there was no translation, as far as this machine says so.
pub fn is_gone(access: Access) -> bool {
    matches!(
        access,
        Access::Refused(Refusal::Translation | Refusal::Unreported)
    )
}

/// Has the device write to the page after that was unmapped, and asserts that it still can: that a check which follows can fail.
fn assert_stale(machine: &mut Emulated) {
    machine.change(PAGE, None).expect("a store");
    assert_eq!(
        device_writes(machine, 2),
        Access::Done(2),
        "control: nothing was invalidated"
    );
}

/// Has the device write while it may not use even the window: nothing must arrive.
fn assert_silent(machine: &Emulated) {
    memory::fill(0, 7);
    let devices = machine.devices().expect("they were found");
    let _ = devices.store_again(ADDRESS).expect("the device works");
    assert_eq!(
        memory::word(0),
        7,
        "a device without the space wrote into its frame"
    );
}

/// Promise 10: a released space is walked by no device, even though it is mapped again.
pub fn released_means_silent() {
    let mut machine = machine();
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    assert_stale(&mut machine);
    machine.change(PAGE, to(0)).expect("a store");
    ENGINE.release(machine.space()).expect("the IOMMU answers");
    assert_silent(&machine);
}

/// Promise 10: a device that has not walked a released space yet does not begin.
pub fn released_means_silent_to_the_first_write_of_a_testdev() {
    let mut machine = machine();
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    ENGINE.release(machine.space()).expect("the IOMMU answers");
    let devices = machine.devices().expect("they were found");
    let device = devices.testdev.as_ref().expect("it was found");
    assert_eq!(device.write(ADDRESS, memory::phys(0)), Written::Refused);
}

/// Promise 10: a second release changes nothing.
pub fn release_can_be_repeated() {
    let mut machine = machine();
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    ENGINE.release(machine.space()).expect("the IOMMU answers");
    ENGINE.release(machine.space()).expect("the IOMMU answers");
    assert_silent(&machine);
    machine.detach().expect("the devices are detached");
}

/// Promise 10: a retired space is walked by no device.
pub fn retired_means_silent() {
    let mut machine = machine();
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    cpus::run_on(0, crate::platform::run_nothing);
    let ticket = ENGINE.retire(machine.space()).expect("it is alive");
    ticket.wait().expect("the IOMMU answers");
    assert_silent(&machine);
    assert!(ENGINE.retire(machine.space()).is_err(), "retired once");
}

/// Promise 10: a detached device is silent, and no flush tells it anything.
pub fn detached_means_silent_and_untold() {
    let mut machine = machine();
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    machine.detach().expect("the devices are detached");
    assert_silent(&machine);
    let cost = machine.flush(Flush::Page(PAGE)).expect("nobody is asked");
    assert_eq!(
        (cost.invalidations, cost.commands, cost.doorbells),
        (1, 0, 0)
    );
}

/// Promise 2: who is announced is told, before it walks for the first time.
pub fn a_flush_before_the_first_walk_is_told_to_the_device() {
    let mut machine = Emulated::new().expect("the machine comes up");
    machine
        .reset(Observer::ThisCpu)
        .expect("this CPU runs the space");
    machine.change(PAGE, to(0)).expect("a store");
    machine.announce().expect("room for one");
    let cost = machine.flush(Flush::Page(PAGE)).expect("the IOMMU answers");
    assert_eq!((cost.commands, cost.syncs), (1, 1));
    assert_silent(&machine);
    let devices = machine.devices().expect("they were found");
    devices.walk().expect("the IOMMU answers");
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
}

/// A device that was never attached reaches no memory, not even untranslated.
pub fn a_device_that_was_never_attached_is_refused() {
    let machine = Emulated::new().expect("the machine comes up");
    memory::fill(0, 7);
    let devices = machine.devices().expect("they were found");
    let _ = devices.store_again(memory::phys(0));
    assert_eq!(memory::word(0), 7);
}

/// What drops everything that a CPU holds drops nothing of what the IOMMU holds.
pub fn an_invalidation_of_the_cpus_does_not_reach_the_device() {
    let mut machine = machine();
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    machine.change(PAGE, None).expect("a store");
    // SAFETY: the root that is loaded already; global entries stay.
    unsafe { asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _) };
    assert_eq!(
        device_writes(&mut machine, 2),
        Access::Done(2),
        "this IOMMU follows no CPU"
    );
    machine.flush(Flush::Page(PAGE)).expect("the IOMMU answers");
    assert!(is_gone(device_writes(&mut machine, 3)));
}

/// Promise 5: more flushes than there is room for in the queue, and none is lost.
pub fn the_queue_wraps_and_loses_nothing() {
    let mut machine = machine();
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    for _ in 0..300 {
        let cost = machine
            .flush(Flush::Page(OTHER_PAGE))
            .expect("the IOMMU answers");
        assert_eq!((cost.commands, cost.syncs, cost.doorbells), (1, 1, 1));
    }
    let mut machine = again(machine);
    assert_stale(&mut machine);
    machine.flush(Flush::Page(PAGE)).expect("the IOMMU answers");
    assert!(is_gone(device_writes(&mut machine, 3)));
}

/// Lets the device use the page again, where its entry went with others'.
fn again(mut machine: Emulated) -> Emulated {
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    machine
}

/// Promise 6: all CPUs flush a space at once that a device shares, and all return.
pub fn four_cpus_flush_at_once() {
    let machine = machine();
    (0..cpus::COUNT).for_each(|cpu| machine.run_on(cpu).expect("it may run"));
    let before = ENGINE.stats();
    let space = machine.space();
    cpus::run_everywhere(|cpu| {
        let page = VirtAddr::new(process::address(cpu + 2));
        for _ in 0..100 {
            let cost = ENGINE
                .flush_page(space, page, PageSize::KIB_4)
                .expect("everybody answers");
            // One CPU's seal may carry the commands of another along.
            assert_eq!(cost.commands, 1);
        }
    });
    assert_eq!(ENGINE.stats().completed - before.completed, 400);
    let mut machine = again(machine);
    assert_stale(&mut machine);
    machine.flush(Flush::Page(PAGE)).expect("the IOMMU answers");
    assert!(is_gone(device_writes(&mut machine, 3)));
}

/// Counts what comes back, and fills it with a word that must stay.
struct Sink(AtomicU32);

impl FrameSink<WORDS> for Sink {
    fn release_frame(&self, _base: PhysAddr, _size: PageSize) {
        self.0.fetch_add(1, Ordering::Relaxed);
        memory::fill(0, 7);
    }

    fn release_table(&self, _base: PhysAddr) {}

    fn quarantine(&self, _items: &[Item], error: &Incomplete<WORDS>) {
        panic!("nobody fails to answer here: {error}");
    }
}

/// Promise 4: a frame comes back when the device has let go of it, and the device writes into it no more.
pub fn a_frame_comes_back_when_the_device_has_let_go_of_it() {
    let mut machine = machine();
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    machine.change(PAGE, None).expect("a store");
    let sink = Sink(AtomicU32::new(0));
    let mut frames = Frames::inline::<1>(&sink);
    let base = PhysAddr::new(memory::phys(0));
    let size = PageSize::KIB_4;
    frames
        .push(Item::Frame { base, size })
        .expect("room for one");
    let ticket = ENGINE.start(
        machine.space(),
        flush::Flush::page(VirtAddr::new(ADDRESS), size),
    );
    let ticket = ticket.expect("it is alive").holding(frames);
    assert_eq!(
        sink.0.load(Ordering::Relaxed),
        0,
        "nobody has asked whether the device is done"
    );
    let cost = ticket.wait().expect("the IOMMU answers");
    assert_eq!(
        (cost.commands, cost.syncs, sink.0.load(Ordering::Relaxed)),
        (1, 1, 1)
    );
    assert!(is_gone(device_writes(&mut machine, 2)));
    assert_eq!(
        memory::word(0),
        7,
        "the device wrote into a frame that had come back"
    );
}

/// One shootdown reaches two devices behind one IOMMU, for one command, one wait and one doorbell.
pub fn one_command_reaches_edu_and_a_testdev() {
    let mut machine = machine();
    let second_writes = |machine: &Emulated, frame| {
        let devices = machine.devices().expect("they were found");
        let device = devices.testdev.as_ref().expect("it was found");
        device.write(ADDRESS, memory::phys(frame))
    };
    let forget_faults = |machine: &Emulated| {
        let devices = machine.devices().expect("they were found");
        while devices.next_fault().is_some() {}
    };
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    assert_eq!(second_writes(&machine, 0), Written::There);
    machine.change(PAGE, None).expect("a store");
    assert_eq!(
        second_writes(&machine, 0),
        Written::There,
        "control: nothing was invalidated"
    );
    let cost = machine.flush(Flush::Page(PAGE)).expect("the IOMMU answers");
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (1, 1, 1));
    assert_eq!(second_writes(&machine, 0), Written::Refused);
    forget_faults(&machine);
    machine.change(PAGE, to(1)).expect("a store");
    assert_eq!(second_writes(&machine, 1), Written::There);
    assert_eq!(device_writes(&mut machine, 2), Access::Done(2));
    assert_eq!(memory::word(1), 2);
}

/// Promise 11: a flush of one page leaves the device's entries of others alone.
pub fn other_pages_keep_their_entries() {
    let mut machine = machine();
    machine.change(OTHER_PAGE, to(1)).expect("a store");
    let other = |machine: &mut Emulated| {
        machine
            .read(Observer::Device, OTHER_PAGE)
            .expect("the device works")
    };
    machine.fill(Frame(1), 5);
    assert_eq!(other(&mut machine), Access::Done(5));
    assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    machine.change(PAGE, None).expect("a store");
    machine.change(OTHER_PAGE, None).expect("a store");
    machine.flush(Flush::Page(PAGE)).expect("the IOMMU answers");
    assert!(is_gone(device_writes(&mut machine, 2)));
    assert_eq!(
        other(&mut machine),
        Access::Done(5),
        "more was flushed than asked for"
    );
}
