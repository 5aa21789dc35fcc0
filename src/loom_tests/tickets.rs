//! Tickets that are looked at elsewhere than where they came from, and futures that are woken there.

use super::world::{Page, Plain, become_cpu, current_cpu, flush};
use super::{three_cpus, two_cpus};
use crate::cpu_set::{CpuId, CpuMask};
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;
use crate::ticket::Ticket;
use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::task::{Context, Waker};
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::sync;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Wake;

/// Keeps the waker until the interrupt that brings an answer wakes it.
struct Host {
    /// An interrupt is on its way. Under a lock: loom lets an exchange miss a store that came before it.
    is_raised: Mutex<bool>,
    waker: Mutex<Option<Waker>>,
}

// SAFETY: threads stay on their CPU; interrupts are the calls that the tests make.
unsafe impl Platform for Host {
    type Arch = Plain;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        current_cpu()
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _: CpuMask<'_>) {
        *self.is_raised.lock().unwrap() = true;
    }

    fn wake_later(&self, waker: &Waker) -> bool {
        *self.waker.lock().unwrap() = Some(waker.clone());
        true
    }
}

type Engine = Shootdown<Host, 1>;
type Flush = Ticket<'static, Host, 1>;

struct World {
    engine: Engine,
    space: AddressSpace<Plain, 1>,
    page: Page,
    /// From one CPU to another.
    handed: Mutex<Option<Flush>>,
}

impl World {
    /// Three CPUs are online; CPU 0, the calling thread, and CPU 2 run the space.
    fn new() -> Arc<Self> {
        let host = Host {
            is_raised: Mutex::new(false),
            waker: Mutex::new(None),
        };
        let engine = Engine::new(host, Plain);
        let space = engine.new_space();
        for cpu in [1, 2, 0] {
            become_cpu(cpu);
            engine.cpu_online().expect("there is room for three");
            if cpu != 1 {
                engine.switch_to(&space).expect("live");
            }
        }
        Arc::new(Self {
            engine,
            space,
            page: Page::new(),
            handed: Mutex::new(None),
        })
    }

    /// Looks so often, and frees the frame once everybody has answered.
    fn look(&self, mut ticket: Flush, looks: u32) {
        if (0..looks).any(|_| ticket.poll().is_ready()) {
            self.page.free();
        }
        // Who is not done must not wait here: loom's threads never spin.
        core::mem::forget(ticket);
    }

    /// The CPU that is asked. It may answer before its interrupt comes; that wakes who awaits the answer.
    fn run_target(&self) {
        self.page.touch();
        self.engine.on_ipi();
        self.wake_if_raised();
        self.page.touch();
    }

    fn wake_if_raised(&self) {
        let host = self.engine.platform();
        let is_raised = core::mem::take(&mut *host.is_raised.lock().unwrap());
        if is_raised {
            self.engine.on_ipi();
            let kept = host.waker.lock().unwrap().take();
            if let Some(waker) = kept {
                waker.wake();
            }
        }
    }
}

/// Unmaps the page and starts its flush.
fn unmap(world: &Arc<World>) -> Flush {
    // SAFETY: every thread is joined, and every ticket forgotten or complete, before the world is dropped.
    let world: &'static World = unsafe { &*core::ptr::from_ref(&**world) };
    world.page.unmap();
    world.engine.start(&world.space, flush()).expect("live")
}

fn cpu(
    world: &Arc<World>,
    cpu: u32,
    f: impl FnOnce(&Arc<World>) + 'static,
) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || {
        become_cpu(cpu);
        f(&world);
    })
}

/// The task that waits goes to another CPU between its looks.
#[test]
fn loom_promise_03_ticket_moves_with_its_task() {
    two_cpus(|| {
        let world = World::new();
        let target = cpu(&world, 2, |world| world.run_target());
        let ticket = unmap(&world);
        become_cpu(1);
        world.look(ticket, 2);
        target.join().unwrap();
    });
}

/// One CPU starts, another looks, the third answers.
#[test]
fn loom_promise_03_ticket_is_looked_at_elsewhere() {
    three_cpus(|| {
        let world = World::new();
        let target = cpu(&world, 2, |world| world.run_target());
        let looks = cpu(&world, 1, |world| {
            let handed = world.handed.lock().unwrap().take();
            if let Some(ticket) = handed {
                world.look(ticket, 2);
            }
        });
        let ticket = unmap(&world);
        *world.handed.lock().unwrap() = Some(ticket);
        looks.join().unwrap();
        target.join().unwrap();
        core::mem::forget(world.handed.lock().unwrap().take());
    });
}

/// The CPU that starts and the CPU that is asked are the same that look and answer, but the other way round.
#[test]
fn loom_promise_06_ticket_goes_to_the_cpu_that_is_asked() {
    two_cpus(|| {
        let world = World::new();
        let target = cpu(&world, 2, |world| {
            world.page.touch();
            let handed = world.handed.lock().unwrap().take();
            if let Some(mut ticket) = handed {
                // Its own look answers.
                assert!(ticket.poll().is_ready());
                world.page.free();
            }
        });
        let ticket = unmap(&world);
        *world.handed.lock().unwrap() = Some(ticket);
        target.join().unwrap();
        core::mem::forget(world.handed.lock().unwrap().take());
    });
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: sync::Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Polls the future once. Whether it is ready.
fn await_once(world: &Arc<World>, woken: &sync::Arc<Woken>) -> bool {
    let waker = Waker::from(woken.clone());
    let mut future = unmap(world).into_future();
    let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
    let is_ready = polled.is_ready();
    // Not to be waited for here: loom's threads never spin.
    core::mem::forget(future);
    if is_ready {
        world.page.free();
    }
    is_ready
}

/// An answer that the task does not see wakes it, on the CPU that answers.
#[test]
fn loom_promise_03_no_wake_up_is_lost() {
    two_cpus(|| {
        let world = World::new();
        let woken = sync::Arc::new(Woken::default());
        let target = cpu(&world, 2, |world| world.run_target());
        let is_ready = await_once(&world, &woken);
        target.join().unwrap();
        // Its interrupt may still be to come.
        become_cpu(2);
        world.wake_if_raised();
        assert!(is_ready || woken.0.load(SeqCst), "asleep");
    });
}
