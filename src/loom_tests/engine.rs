//! Shootdowns against CPUs that come, go and switch, and against the end of a space.

use super::world::{Engine, Host, Page, Plain, SILENT, Space, become_cpu, flush};
use super::{three_cpus, two_cpus};
use crate::secondary::AttachKey;
use loom::sync::Arc;
use loom::thread;

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) space: Space,
    pub(super) page: Page,
}

impl World {
    /// CPU 0 is online.
    pub(super) fn new() -> Arc<Self> {
        let engine = Engine::new(Host, Plain);
        become_cpu(0);
        engine.cpu_online().expect("CPU 0 fits");
        let space = engine.new_space();
        Arc::new(Self {
            engine,
            space,
            page: Page::new(),
        })
    }

    /// Unmaps the page, flushes it, and frees the frame if everybody has answered after so many looks.
    fn unmap(&self, looks: u32) {
        self.page.unmap();
        let mut ticket = self.engine.start(&self.space, flush()).expect("live");
        let done = (0..looks).any(|_| ticket.poll().is_ready());
        if done {
            self.page.free();
        }
        // Who is not done must not wait here: loom's threads never spin.
        core::mem::forget(ticket);
    }
}

/// Another CPU, which takes these steps.
pub(super) fn cpu(
    world: &Arc<World>,
    cpu: u32,
    f: impl FnOnce(&World) + 'static,
) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || {
        become_cpu(cpu);
        f(&world);
    })
}

/// A CPU comes online, switches and walks: the initiator asks it, or it walks the new entry.
#[test]
fn loom_promise_02_join_against_flush() {
    two_cpus(|| {
        let world = World::new();
        let joins = cpu(&world, 1, |world| {
            world.engine.cpu_online().expect("CPU 1 fits");
            world.engine.switch_to(&world.space).expect("live");
            world.page.touch();
        });
        world.unmap(1);
        joins.join().unwrap();
    });
}

/// A CPU that is online switches to the space for the first time, and later serves.
#[test]
fn loom_promise_02_switch_against_flush() {
    two_cpus(|| {
        let world = World::new();
        become_cpu(1);
        world.engine.cpu_online().expect("CPU 1 fits");
        become_cpu(0);
        world.engine.switch_to(&world.space).expect("live");
        let switches = cpu(&world, 1, |world| {
            world.engine.switch_to(&world.space).expect("live");
            world.page.touch();
            world.engine.on_ipi();
            world.page.touch();
        });
        world.unmap(2);
        switches.join().unwrap();
    });
}

/// A CPU leaves while it is asked: it counts as done only when it uses nothing any more.
#[test]
fn loom_promise_02_leave_against_flush() {
    two_cpus(|| {
        let world = World::new();
        become_cpu(1);
        world.engine.cpu_online().expect("CPU 1 fits");
        world.engine.switch_to(&world.space).expect("live");
        become_cpu(0);
        let leaves = cpu(&world, 1, |world| {
            world.page.touch();
            world.engine.cpu_offline();
        });
        world.unmap(2);
        leaves.join().unwrap();
    });
}

/// An NMI answers for a CPU that serves no interrupt: it read the number of the round before it flushed.
#[test]
fn loom_promise_04_nmi_against_flush() {
    two_cpus(|| {
        let world = World::new();
        become_cpu(1);
        world.engine.cpu_online().expect("CPU 1 fits");
        world.engine.switch_to(&world.space).expect("live");
        become_cpu(0);
        let interrupted = cpu(&world, 1, |world| {
            world.page.touch();
            world.engine.on_nmi();
            world.page.touch();
        });
        world.page.unmap();
        let mut ticket = world.engine.start(&world.space, flush()).expect("live");
        ticket.escalate();
        ticket.escalate();
        if ticket.poll().is_ready() {
            world.page.free();
        }
        core::mem::forget(ticket);
        interrupted.join().unwrap();
    });
}

/// A switch against `retire`: it is refused, or its CPU is waited for.
#[test]
fn loom_promise_10_switch_against_retire() {
    two_cpus(|| {
        let world = World::new();
        become_cpu(1);
        world.engine.cpu_online().expect("CPU 1 fits");
        become_cpu(0);
        world.engine.switch_to(&world.space).expect("live");
        let switches = cpu(&world, 1, |world| {
            if world.engine.switch_to(&world.space).is_ok() {
                world.page.access();
            }
        });
        let ticket = world.engine.retire(&world.space).expect("once");
        if ticket.unanswered().cpus.is_empty() {
            world.page.free();
        }
        core::mem::forget(ticket);
        switches.join().unwrap();
    });
}

/// An attach against `retire`: it is refused, or it is released and waited for.
#[test]
fn loom_promise_10_attach_against_retire() {
    two_cpus(|| {
        let world = World::new();
        let attaches = cpu(&world, 1, |world| {
            let attached = world.engine.attach(&world.space, &SILENT, AttachKey(1));
            if attached.is_ok() {
                world.page.access();
            }
        });
        let ticket = world.engine.retire(&world.space).expect("once");
        if ticket.unanswered().secondaries == 0 {
            world.page.free();
        }
        core::mem::forget(ticket);
        attaches.join().unwrap();
    });
}

/// One CPU comes to the space while another leaves it: each is asked, or uses nothing of it any more.
#[test]
fn loom_promise_02_switch_and_leave_against_flush() {
    three_cpus(|| {
        let world = World::new();
        for id in [2, 1] {
            become_cpu(id);
            world.engine.cpu_online().expect("there is room for three");
        }
        world.engine.switch_to(&world.space).expect("live");
        become_cpu(0);
        let leaves = cpu(&world, 1, |world| {
            world.page.touch();
            world.engine.cpu_offline();
        });
        let switches = cpu(&world, 2, |world| {
            world.engine.switch_to(&world.space).expect("live");
            world.page.touch();
            world.engine.on_ipi();
            world.page.touch();
        });
        world.unmap(2);
        leaves.join().unwrap();
        switches.join().unwrap();
    });
}
