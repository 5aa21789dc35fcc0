//! OpenCAPI: no ring, but registers that hold one invalidation for everybody, and an end of a process that several CPUs take further,
//! asking the device and the firmware outside the lock.

use super::link_unit::Registers as Unit;
use super::races::{
    detach_against, release_against, three_submitters, two_detaches, two_in_trouble,
    two_submitters, unit_by_itself,
};
use super::{Fault, Lock, PAGE, Pages, Port, Shared, Task, World, spawn, two_cpus_in_part};
use crate::iommu::ocxl::{
    AttachError, Config, Context, FunctionId, Host, HostError, Link, Mode, Pasid, Pid, Process,
};
use crate::secondary::AttachKey;
use crate::sync::UnsafeCell;
use core::task::Poll;
use loom::sync::Arc;
use std::boxed::Box;

type Tlb = Link<Port<Unit>, Port<Unit>, Lock, Firmware, 1, 2>;

/// Device and firmware. What a call uses must not be used by two at once.
struct Firmware {
    unit: Arc<Shared<Unit>>,
    call: UnsafeCell<()>,
}

// SAFETY: whether two use the cell at once is what the tests ask loom.
unsafe impl Sync for Firmware {}
// SAFETY: as above.
unsafe impl Send for Firmware {}

impl Firmware {
    fn call<R>(&self, f: impl FnOnce(&mut Unit) -> R) -> R {
        self.call.with_mut(|_| self.unit.with(f))
    }
}

// SAFETY: the device acts no more when it has said so, and the cached element is dropped.
unsafe impl Host for Firmware {
    fn terminate_pasid(&self, _: &Context) -> Poll<Result<(), HostError>> {
        self.call(|unit| unit.ends = true);
        Poll::Ready(Ok(()))
    }

    /// The first look finds the device at work.
    fn termination(&self, _: &Context) -> Poll<Result<(), HostError>> {
        self.call(|unit| {
            if core::mem::take(&mut unit.ends) {
                return Poll::Pending;
            }
            unit.acts = false;
            Poll::Ready(Ok(()))
        })
    }

    fn clear_pe_cache(&self, _: &Context) -> Poll<Result<(), HostError>> {
        self.call(|unit| unit.has_cached = false);
        Poll::Ready(Ok(()))
    }

    fn flush_process(&self, _: Pid) {}
}

fn world() -> Arc<World<Tlb, Unit>> {
    let pages = Pages::new(1);
    let unit = Shared::new();
    let port = || Port(unit.clone());
    let firmware = Firmware {
        unit: unit.clone(),
        call: UnsafeCell::new(()),
    };
    let config = Config {
        page_zero_by_address: true,
        ..Config::power10()
    };
    let spa = pages.region(0, PAGE);
    let element = spa.phys().raw() + 128;
    let mode = Mode::Atsd(port());
    let tlb = Box::new(Link::new(mode, port(), Lock::new(), spa, firmware, config).unwrap());
    let context = Context {
        pasid: Pasid::new(1).unwrap(),
        function: FunctionId(0),
        thread: 0,
        amr: 0,
    };
    let process = Process {
        pid: Pid::new(1).unwrap(),
        lpid: 0,
        wide: true,
        tag_checks: false,
    };
    let key = tlb.reserve(&[context], &process).unwrap();
    tlb.install(key).unwrap();
    unit.with(|unit| (unit.element, unit.acts) = (element, true));
    World::new(tlb, key, unit, pages)
}

fn detach(tlb: &Tlb, key: AttachKey, wait: &mut dyn FnMut() -> bool) -> bool {
    match tlb.detach(key, wait) {
        Ok(()) => true,
        Err(AttachError::Timeout(..)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn loom_promise_05_link_registers_of_two_submitters() {
    two_submitters(world);
}

#[test]
fn loom_promise_05_link_registers_of_three_submitters() {
    three_submitters(Fault::None, world);
}

#[test]
fn loom_promise_05_link_completes_by_itself() {
    unit_by_itself(Fault::None, 4, world);
}

/// What was launched may be lost with the registers.
#[test]
fn loom_promise_05_link_is_reset() {
    two_in_trouble(Fault::Reset, world);
    three_submitters(Fault::Reset, world);
}

#[test]
fn loom_promise_10_link_release_against_flush() {
    release_against(&[Task::Page(2)], 2, world);
}

/// Each step of the end is asked for by one of them alone.
#[test]
fn loom_promise_10_link_two_releases() {
    two_cpus_in_part(2, || {
        let world = world();
        let other = spawn(&world, |world| world.shoot(&[Task::Release], 0));
        let mut shots = world.shoot(&[Task::Release], 0);
        shots.extend(other.join().unwrap());
        world.finish(shots);
    });
}

#[test]
fn loom_promise_10_link_detach_against_flush() {
    detach_against(detach, &[Task::Page(2)], world);
}

#[test]
fn loom_promise_10_link_two_detaches() {
    two_cpus_in_part(2, || two_detaches(detach, &world()));
}
