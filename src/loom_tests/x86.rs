//! x86-64: generations and switches against flushes.

use super::x86_world::{World, as_cpu, cpu};
use super::{three_cpus, two_cpus, two_cpus_in_part};
use crate::address::{PageSize, VirtAddr};
use crate::arch::Arch;
use crate::arch::x86_64::Config;
use crate::flush::Flush;
use loom::sync::Arc;

/// Every CPU is asked; no identifier is common.
const ASKED: Config = Config::new().without_broadcasts();

/// CPU 1 has run the space, holds an entry, and runs it no more. CPU 0 runs it.
fn after_a_run() -> Arc<World> {
    let world = World::new(ASKED, 2);
    as_cpu(1, || {
        world.switch();
        world.touch(0);
        world.switch_to_kernel();
    });
    world.switch();
    world
}

/// A CPU comes back to a space while it is flushed: it is asked, or finds the generation raised.
#[test]
fn loom_promise_02_x86_switch_against_flush() {
    two_cpus(|| {
        let world = after_a_run();
        let switches = cpu(&world, 1, |world| {
            world.switch();
            world.touch(0);
            world.engine.on_ipi();
            world.touch(0);
        });
        world.unmap(0, 2);
        switches.join().unwrap();
    });
}

/// A CPU that keeps the root for nobody wakes while the space is flushed.
#[test]
fn loom_promise_02_x86_lazy_wake_against_flush() {
    two_cpus(|| {
        let world = World::new(ASKED, 2);
        as_cpu(1, || {
            world.switch();
            world.touch(0);
        });
        world.switch();
        let wakes = cpu(&world, 1, |world| {
            world.engine.enter_lazy();
            world.switch();
            world.touch(0);
            world.engine.on_ipi();
            world.touch(0);
        });
        world.unmap(0, 2);
        wakes.join().unwrap();
    });
}

/// A CPU comes back to a space while a flush takes it out of the members: the next flush finds it there again.
#[test]
fn loom_promise_02_x86_trim_against_switch() {
    two_cpus_in_part(3, || {
        let world = after_a_run();
        let switches = cpu(&world, 1, |world| {
            world.switch();
            world.touch(1);
            world.engine.on_ipi();
            world.touch(1);
        });
        world.unmap(0, 0);
        world.unmap(1, 2);
        switches.join().unwrap();
    });
}

/// Two initiators at once, whose requests a third CPU serves in whichever order it finds them: whoever counts as answered holds
/// nothing of the page.
#[test]
fn loom_promise_05_x86_changes_in_any_order() {
    three_cpus(|| {
        let world = World::new(ASKED, 3);
        as_cpu(1, || world.switch());
        as_cpu(2, || {
            world.switch();
            world.touch(0);
        });
        world.switch();
        let other = cpu(&world, 1, |world| world.unmap(1, 0));
        let target = cpu(&world, 2, |world| world.engine.on_ipi());
        world.pages[0].unmap();
        let flush = Flush::page(VirtAddr::new(0), PageSize::KIB_4);
        let mut ticket = world.engine.start(&world.space, flush).expect("live");
        other.join().unwrap();
        target.join().unwrap();
        as_cpu(1, || world.engine.on_ipi());
        as_cpu(2, || world.engine.on_ipi());
        assert!(ticket.poll().is_ready());
        let cpus = world.engine.arch().instructions();
        as_cpu(2, || assert!(!cpus.holds(0), "an entry of a freed page"));
        core::mem::forget(ticket);
    });
}

/// An NMI at each point of a switch back to a space that is being flushed.
#[test]
fn loom_promise_04_x86_nmi_against_switch() {
    for point in 0..4 {
        two_cpus(move || {
            let world = after_a_run();
            let switches = cpu(&world, 1, move |world| {
                let nmi_at = |here| {
                    if point == here {
                        world.engine.on_nmi();
                    }
                };
                nmi_at(0);
                let id = world.engine.switch_to(&world.space).expect("live");
                nmi_at(1);
                world.engine.arch().instructions().load_root(id.0);
                nmi_at(2);
                world.engine.root_loaded();
                world.touch(0);
                nmi_at(3);
                world.touch(0);
            });
            world.pages[0].unmap();
            let flush = Flush::page(VirtAddr::new(0), PageSize::KIB_4);
            let mut ticket = world.engine.start(&world.space, flush).expect("live");
            ticket.escalate();
            ticket.escalate();
            if ticket.poll().is_ready() {
                world.pages[0].free();
            }
            core::mem::forget(ticket);
            switches.join().unwrap();
        });
    }
}

/// A space gets a common identifier in the middle of a flush: a CPU takes it up, runs and leaves, and later comes back to what it
/// has kept.
#[test]
fn loom_promise_07_x86_promotion_against_flush() {
    two_cpus_in_part(3, || {
        let world = World::new(Config::new(), 2);
        as_cpu(1, || {
            world.switch();
            world.touch(0);
        });
        world.switch();
        let runs = cpu(&world, 1, |world| {
            world.engine.arch().was_asked_for(world.space.hardware(), 3);
            world.switch();
            world.touch(0);
            world.switch_to_kernel();
            world.switch();
            world.touch(0);
            world.engine.on_ipi();
            world.touch(0);
        });
        world.unmap(0, 2);
        runs.join().unwrap();
    });
}

/// Two CPUs come back to a space while it is flushed, and each is asked or finds the generation raised.
#[test]
fn loom_promise_02_x86_two_switches_against_flush() {
    three_cpus(|| {
        let world = World::new(ASKED, 3);
        for id in [1, 2] {
            as_cpu(id, || {
                world.switch();
                world.touch(0);
                world.switch_to_kernel();
            });
        }
        world.switch();
        let switches = [1, 2].map(|id| {
            cpu(&world, id, |world| {
                world.switch();
                world.touch(0);
                world.engine.on_ipi();
                world.touch(0);
            })
        });
        world.unmap(0, 2);
        for switches in switches {
            switches.join().unwrap();
        }
    });
}
