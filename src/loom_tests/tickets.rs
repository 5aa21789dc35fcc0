//! Tickets that are looked at elsewhere than where they came from, and futures that are woken there.

use super::world::{Page, Plain, become_cpu, current_cpu, flush, holds_page};
use super::{three_cpus, two_cpus};
use crate::cpu_set::{CpuId, CpuMask};
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;
use crate::ticket::Ticket;
use core::future::{Future, IntoFuture};
use core::mem::ManuallyDrop;
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
/// Never dropped: a ticket that is not complete waits then, and loom's threads never spin.
type Flush = ManuallyDrop<Ticket<'static, Host, 1>>;

struct World {
    engine: Engine,
    space: AddressSpace<Plain, 1>,
    page: Page,
    /// From one CPU to another.
    handed: Mutex<Option<Flush>>,
}

impl World {
    /// Three CPUs are online; CPU 0, the calling thread, and CPU 2 run the space. CPU 1 has made the request by which theirs could be
    /// mistaken: to CPU 2, of the same number, and answered.
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
        become_cpu(1);
        let mut earlier = ManuallyDrop::new(engine.start(&space, flush()).expect("live"));
        for cpu in [2, 0] {
            become_cpu(cpu);
            engine.on_ipi();
        }
        become_cpu(1);
        assert!(earlier.poll().is_ready());
        become_cpu(0);
        *engine.platform().is_raised.lock().unwrap() = false;
        Arc::new(Self {
            engine,
            space,
            page: Page::new(),
            handed: Mutex::new(None),
        })
    }

    /// Looks so often, and frees the frame once everybody has answered.
    fn look(&self, ticket: &mut Flush, looks: u32) {
        if (0..looks).any(|_| ticket.poll().is_ready()) {
            self.page.free();
        }
    }

    /// The CPU that is asked. It may answer before its interrupt comes; that wakes who awaits the answer.
    fn run_target(&self) {
        self.page.touch();
        self.engine.on_ipi();
        self.wake_if_raised();
        self.page.touch();
    }

    /// The interrupt comes where it has not come yet.
    fn target_has_answered(&self) {
        become_cpu(2);
        self.wake_if_raised();
    }

    fn hand(&self, ticket: Flush) {
        *self.handed.lock().unwrap() = Some(ticket);
    }

    fn take(&self) -> Option<Flush> {
        self.handed.lock().unwrap().take()
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
    // SAFETY: every thread is joined before the world is dropped, and no ticket is looked at or dropped afterwards.
    let world: &'static World = unsafe { &*core::ptr::from_ref(&**world) };
    world.page.unmap();
    ManuallyDrop::new(world.engine.start(&world.space, flush()).expect("live"))
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
        let mut ticket = unmap(&world);
        become_cpu(1);
        world.look(&mut ticket, 2);
        target.join().unwrap();
        world.target_has_answered();
        become_cpu(1);
        assert!(ticket.poll().is_ready());
    });
}

/// One CPU starts, another looks, the third answers.
#[test]
fn loom_promise_03_ticket_is_looked_at_elsewhere() {
    three_cpus(|| {
        let world = World::new();
        let target = cpu(&world, 2, |world| world.run_target());
        let looks = cpu(&world, 1, |world| {
            if let Some(mut ticket) = world.take() {
                world.look(&mut ticket, 2);
                world.hand(ticket);
            }
        });
        world.hand(unmap(&world));
        looks.join().unwrap();
        target.join().unwrap();
        world.target_has_answered();
        become_cpu(1);
        let mut ticket = world.take().expect("handed back");
        assert!(ticket.poll().is_ready());
    });
}

/// The CPU that is asked is the one that looks: it answers itself.
#[test]
fn loom_promise_06_ticket_goes_to_the_cpu_that_is_asked() {
    two_cpus(|| {
        let world = World::new();
        let target = cpu(&world, 2, |world| {
            world.page.touch();
            if let Some(mut ticket) = world.take() {
                assert!(ticket.poll().is_ready());
                assert!(!holds_page(), "an entry of a freed page");
                world.page.free();
            }
        });
        world.hand(unmap(&world));
        target.join().unwrap();
        // Where it came too late for the target it is looked at now.
        become_cpu(2);
        assert!(
            world
                .take()
                .is_none_or(|mut ticket| ticket.poll().is_ready())
        );
    });
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: sync::Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// An answer that the task does not see wakes it, and it goes on on another CPU.
#[test]
fn loom_promise_03_no_wake_up_is_lost() {
    two_cpus(|| {
        let world = World::new();
        let woken = sync::Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let target = cpu(&world, 2, |world| world.run_target());
        let ticket = ManuallyDrop::into_inner(unmap(&world));
        let mut future = ManuallyDrop::new(ticket.into_future());
        let mut is_ready = || {
            let polled = Pin::new(&mut *future).poll(&mut Context::from_waker(&waker));
            polled.is_ready()
        };
        let is_done = is_ready();
        if is_done {
            world.page.free();
        }
        target.join().unwrap();
        world.target_has_answered();
        assert!(is_done || woken.0.load(SeqCst), "asleep");
        become_cpu(1);
        assert!(is_done || is_ready());
    });
}
