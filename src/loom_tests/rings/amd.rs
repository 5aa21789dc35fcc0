//! AMD: one word for every completion, a second stage for devices' TLBs, and a buffer that halts at a command that it refuses.
//!
//! Whether some wait is still owed is a question that must not be asked outside the lock, nor answered with a flag: whose commands were
//! sealed by another has to wait for that other's position.

use super::amd_unit::Amd as Unit;
use super::races::{
    detach_against, release_against, three_submitters, two_detaches, two_in_trouble,
    two_submitters, unit_by_itself,
};
use super::{Fault, Lock, PAGE, Pages, Port, Shared, Task, World, two_cpus};
use crate::address::PhysAddr;
use crate::iommu::amd::{
    AttachError, Config, Context, DeviceId, DeviceKind, DeviceSetup, Iommu, Memory, Translation,
};
use crate::secondary::AttachKey;
use loom::sync::Arc;
use std::boxed::Box;

type Tlb = Iommu<Port<Unit>, Port<Unit>, Lock, 1, 64>;

const DEVICE: DeviceId = DeviceId(1);

/// What brings the buffer to its last entries, twice.
const BEFORE: u32 = 59;

/// One device with a TLB of its own and a host table.
fn world() -> Arc<World<Tlb, Unit>> {
    let pages = Pages::new(4);
    let unit = Shared::new();
    let memory = Memory {
        commands: pages.region(0, PAGE),
        devices: pages.region(1, PAGE),
        events: Some(pages.region(2, PAGE)),
        completion: pages.region(3, PAGE),
    };
    let port = || Port(unit.clone());
    let config = Config::new(1 << 24 | 1 << 27);
    let tlb = Box::new(Iommu::new(port(), port(), Lock::new(), memory, config).unwrap());
    let wait = &mut || true;
    tlb.init(wait).unwrap();
    let setup = DeviceSetup {
        device: DEVICE,
        kind: DeviceKind::Host,
        ats: Some(1),
    };
    tlb.add_device(setup, wait).unwrap();
    let context = Context {
        device: DEVICE,
        pasid: None,
    };
    let translation = Translation::Host {
        root: PhysAddr::new(0x1000),
        levels: 3,
    };
    let key = tlb.attach(&[context], &translation, wait).unwrap();
    World::new(tlb, key, unit, pages)
}

/// Whose shootdowns go from the end of the buffer to its beginning.
fn late_in_the_buffer() -> Arc<World<Tlb, Unit>> {
    let world = world();
    world.advance(BEFORE);
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
fn loom_promise_03_amd_each_waits_for_its_own_commands() {
    two_submitters(late_in_the_buffer);
}

#[test]
fn loom_promise_05_amd_buffer_of_three_submitters() {
    three_submitters(Fault::None, late_in_the_buffer);
}

#[test]
fn loom_promise_05_amd_consumes_by_itself() {
    unit_by_itself(Fault::None, 6, late_in_the_buffer);
}

#[test]
fn loom_promise_05_amd_halts_at_a_command() {
    two_in_trouble(Fault::Refuses, world);
    three_submitters(Fault::Refuses, world);
}

#[test]
fn loom_promise_05_amd_halts_by_itself() {
    unit_by_itself(Fault::Refuses, 4, world);
}

#[test]
fn loom_promise_05_amd_device_misses_one() {
    two_in_trouble(Fault::Silent, world);
    three_submitters(Fault::Silent, world);
}

#[test]
fn loom_promise_05_amd_device_is_dead() {
    two_in_trouble(Fault::Dead, world);
    three_submitters(Fault::Dead, world);
}

#[test]
fn loom_promise_10_amd_release_against_flush() {
    release_against(&[Task::Page(2), Task::Release], 3, world);
}

#[test]
fn loom_promise_10_amd_detach_against_flush() {
    detach_against(detach, &[Task::Page(2)], world);
}

#[test]
fn loom_promise_10_amd_two_detaches() {
    two_cpus(|| two_detaches(detach, &world()));
}
