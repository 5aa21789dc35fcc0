//! VT-d: a ring without a wrap bit, whose waits store into a word for each slot, and where one silent device aborts everybody's.

use super::races::{
    detach_against, release_against, three_submitters, two_detaches, two_in_trouble,
    two_submitters, unit_by_itself,
};
use super::vtd_unit::Vtd as Unit;
use super::{Fault, Lock, PAGE, Pages, Port, Shared, Task, World, two_cpus};
use crate::address::PhysAddr;
use crate::iommu::vtd::{
    AttachError, Config, Context, DeviceSetup, DeviceTlb, Levels, Memory, SourceId,
    TranslationConfig, Vtd,
};
use crate::secondary::AttachKey;
use loom::sync::Arc;
use std::boxed::Box;

type Tlb = Vtd<Port<Unit>, Port<Unit>, Lock, 1, 64>;

const DEVICE: SourceId = SourceId(0);

/// What brings the ring to its last entries.
const BEFORE: u32 = 55;

fn world() -> Arc<World<Tlb, Unit>> {
    // The PASID table takes two pages.
    let pages = Pages::new(6);
    let unit = Shared::new();
    let memory = Memory {
        queue: pages.region(0, PAGE),
        status: pages.region(1, PAGE),
        root: pages.region(2, PAGE),
        contexts: pages.region(3, PAGE),
    };
    let port = || Port(unit.clone());
    let tlb = Box::new(Vtd::new(port(), port(), Lock::new(), memory, Config::new()).unwrap());
    let wait = &mut || true;
    tlb.init(wait).unwrap();
    let device_tlb = DeviceTlb {
        queue_depth: 1,
        physical_function: DEVICE,
        flush_twice: false,
    };
    let setup = DeviceSetup {
        device: DEVICE,
        pasids: Some(pages.region(4, 2 * PAGE)),
        pasid_bits: 0,
        device_tlb: Some(device_tlb),
        page_requests: false,
    };
    tlb.add_device(setup, wait).unwrap();
    let context = Context {
        device: DEVICE,
        pasid: None,
    };
    let translation = TranslationConfig {
        root: PhysAddr::new(0x1000),
        levels: Levels::Four,
    };
    let key = tlb.attach(&[context], &translation, wait).unwrap();
    World::new(tlb, key, unit, pages)
}

/// Whose shootdowns go from the end of the ring to its beginning.
fn late_in_the_ring() -> Arc<World<Tlb, Unit>> {
    let world = world();
    world.advance(BEFORE);
    world
}

fn detach(tlb: &Tlb, key: AttachKey, wait: &mut dyn FnMut() -> bool) -> bool {
    match tlb.detach(key, wait) {
        Ok(()) => true,
        Err(AttachError::Timeout(..)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn loom_promise_05_vtd_ring_of_two_submitters() {
    two_submitters(late_in_the_ring);
}

#[test]
fn loom_promise_05_vtd_ring_of_three_submitters() {
    three_submitters(Fault::None, late_in_the_ring);
}

#[test]
fn loom_promise_05_vtd_consumes_by_itself() {
    unit_by_itself(Fault::None, 6, late_in_the_ring);
}

#[test]
fn loom_promise_05_vtd_refuses_a_descriptor() {
    two_in_trouble(Fault::Refuses, world);
    three_submitters(Fault::Refuses, world);
}

#[test]
fn loom_promise_05_vtd_refuses_by_itself() {
    unit_by_itself(Fault::Refuses, 4, world);
}

/// The time-out aborts the waits of everybody.
#[test]
fn loom_promise_05_vtd_device_misses_one() {
    two_in_trouble(Fault::Silent, world);
    three_submitters(Fault::Silent, world);
}

#[test]
fn loom_promise_05_vtd_device_is_dead() {
    two_in_trouble(Fault::Dead, world);
    three_submitters(Fault::Dead, world);
}

#[test]
fn loom_promise_05_vtd_times_out_by_itself() {
    unit_by_itself(Fault::Silent, 4, world);
}

#[test]
fn loom_promise_10_vtd_release_against_flush() {
    release_against(&[Task::Page(2), Task::Release], 3, world);
}

#[test]
fn loom_promise_10_vtd_detach_against_flush() {
    detach_against(detach, &[Task::Page(2)], world);
}

#[test]
fn loom_promise_10_vtd_two_detaches() {
    two_cpus(|| two_detaches(detach, &world()));
}
