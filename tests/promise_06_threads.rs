//! Promise 6: no deadlock, with CPUs that are host threads. Entries carry versions that only rise: after a flush returns, no TLB
//! holds an older version of the page than the one that was flushed for.

mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use support::{Engine, FakeTlb, Machine, Op, Space, leaf};
use tlb_shootdown::secondary::{AttachKey, Needs};

const PAGES: u64 = 8;

/// All CPUs at once, each a thread. A run that does not end is a failure, not a hang.
fn run_threads(machine: &'static Machine, work: impl Fn(usize) + Sync) {
    let cpus = machine.cpus.len();
    let finished = AtomicUsize::new(0);
    let start = Barrier::new(cpus);
    machine.journal.close();
    std::thread::scope(|scope| {
        for cpu in 0..cpus {
            machine.set_auto(cpu, false);
            let (work, finished, start) = (&work, &finished, &start);
            scope.spawn(move || {
                machine.become_cpu(cpu);
                start.wait();
                work(cpu);
                finished.fetch_add(1, Ordering::SeqCst);
                // Interrupts stay on until everybody has finished.
                while finished.load(Ordering::SeqCst) < cpus {
                    serve(machine);
                }
            });
        }
        scope.spawn(|| watch(&finished, cpus));
    });
}

fn serve(machine: &Machine) {
    machine.safe_point();
    std::thread::yield_now();
}

fn watch(finished: &AtomicUsize, cpus: usize) {
    for _ in 0..2400 {
        if finished.load(Ordering::SeqCst) == cpus {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!(
        "{} of {cpus} CPUs have not finished",
        cpus - finished.load(Ordering::SeqCst)
    );
    std::process::abort();
}

/// A barrier at which interrupts are served.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Meeting {
    fn wait(&self, machine: &Machine, round: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
        while self.0.load(Ordering::SeqCst) < machine.cpus.len() * (round + 1) {
            serve(machine);
        }
    }
}

fn online(cpus: usize, broadcasts: bool) -> (&'static Machine, &'static Engine) {
    let (machine, engine) = Machine::booting(cpus, broadcasts, u64::MAX);
    for cpu in 0..cpus {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    (machine, engine)
}

struct Versions([AtomicU64; PAGES as usize]);

impl Versions {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(1)))
    }

    /// One change of the page table, flushed and checked.
    fn change(&self, machine: &'static Machine, engine: &'static Engine, space: &Space, page: u64) {
        let version = self.raise(machine, space, page);
        engine.flush(space, leaf(page)).unwrap();
        self.check(machine, space, page, version);
    }

    fn raise(&self, machine: &Machine, space: &Space, page: u64) -> u64 {
        let mut tables = machine.tables.lock().unwrap();
        let version = self.0[page as usize].fetch_add(1, Ordering::SeqCst) + 1;
        tables.insert((space.id().raw(), page), version);
        version
    }

    fn check(&self, machine: &Machine, space: &Space, page: u64, version: u64) {
        for (cpu, cached) in machine.cached(space, page).into_iter().enumerate() {
            assert!(
                cached.is_none_or(|cached| cached >= version),
                "CPU {cpu} holds version {cached:?} of page {page} after the flush of {version}"
            );
        }
    }
}

#[test]
fn promise_06_two_cpus_that_shoot_each_other_with_interrupts_off_both_return() {
    let (machine, engine) = online(2, false);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 0);
    let versions = Versions::new();
    run_threads(machine, |cpu| {
        for _ in 0..100_000 {
            machine.with_irqs_off(|| {
                machine.read(space, cpu as u64);
                versions.change(machine, engine, space, 0);
            });
        }
    });
    assert_eq!(engine.stats().completed, 200_000);
}

#[test]
fn promise_06_many_cpus_initiate_at_once() {
    for broadcasts in [false, true] {
        let (machine, engine) = online(5, broadcasts);
        let spaces = [machine.new_space(), machine.new_space()];
        let versions = [Versions::new(), Versions::new()];
        for space in spaces {
            for page in 0..PAGES {
                machine.map(space, page, 1);
            }
            machine.run_on(space, 0..5, 0);
        }
        run_threads(machine, |cpu| {
            let mut seed = cpu as u64 + 1;
            for round in 0..400 {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let (which, page) = ((seed >> 40) as usize % 2, (seed >> 33) % PAGES);
                for page in 0..PAGES {
                    machine.read(spaces[which], page);
                }
                let irqs_off = round % 3 == 0;
                let change = || versions[which].change(machine, engine, spaces[which], page);
                if irqs_off {
                    machine.with_irqs_off(change)
                } else {
                    change()
                }
                machine.safe_point();
            }
        });
        assert_eq!(engine.stats().completed, 2000);
    }
}

/// Several tickets of one CPU are open at once, and are completed in another order, partly by another CPU.
#[test]
fn promise_06_open_tickets_share_a_slot_under_load() {
    let (machine, engine) = online(4, false);
    let space = machine.new_space();
    for page in 0..PAGES {
        machine.map(space, page, 1);
    }
    machine.run_on(space, 0..4, 0);
    let versions = Versions::new();
    let passed_on = std::sync::Mutex::new(Vec::new());
    run_threads(machine, |_| {
        for round in 0..200 {
            let mut mine = Vec::new();
            for page in 0..PAGES {
                machine.read(space, page);
                let version = versions.raise(machine, space, page);
                mine.push((engine.start(space, leaf(page)).unwrap(), page, version));
            }
            if round % 2 == 0 {
                std::mem::swap(&mut mine, &mut passed_on.lock().unwrap());
            }
            while let Some((ticket, page, version)) = mine.pop() {
                ticket.wait().unwrap();
                versions.check(machine, space, page, version);
            }
            machine.safe_point();
        }
    });
    for (ticket, page, version) in passed_on.into_inner().unwrap() {
        for cpu in 1..4 {
            machine.set_auto(cpu, true);
        }
        ticket.wait().unwrap();
        versions.check(machine, space, page, version);
    }
}

/// A CPU that spins for a lock with interrupts off serves its mailbox there: the holder of the lock is waiting for it.
#[test]
fn promise_06_spinning_for_a_lock_with_interrupts_off_serves_the_mailbox() {
    let (machine, engine) = online(3, false);
    let space = machine.new_space();
    machine.run_on(space, 0..3, 0);
    let lock = AtomicBool::new(false);
    let versions = Versions::new();
    run_threads(machine, |_| {
        for _ in 0..200 {
            machine.with_irqs_off(|| {
                while lock.swap(true, Ordering::Acquire) {
                    engine.poll();
                    std::thread::yield_now();
                }
                versions.change(machine, engine, space, 0);
                lock.store(false, Ordering::Release);
            });
        }
    });
    assert_eq!(engine.stats().completed, 600);
}

/// CPUs come and go while others flush.
#[test]
fn promise_06_cpus_come_and_go_under_load() {
    let (machine, engine) = online(4, false);
    let space = machine.new_space();
    for page in 0..PAGES {
        machine.map(space, page, 1);
    }
    machine.run_on(space, 0..4, 0);
    let versions = Versions::new();
    run_threads(machine, |cpu| {
        for round in 0..300 {
            if cpu >= 2 && round % 3 == 0 {
                machine.with_irqs_off(|| engine.cpu_offline());
                std::thread::yield_now();
                machine.with_irqs_off(|| {
                    engine.cpu_online().unwrap();
                    engine.switch_to(space).unwrap();
                });
            }
            for page in 0..PAGES {
                machine.read(space, page);
            }
            versions.change(machine, engine, space, round % PAGES);
            machine.safe_point();
        }
    });
    assert_eq!(engine.stats().timeouts, 0);
}

/// Devices attach, walk and detach while others flush; a detached one is never called again.
#[test]
fn promise_06_attach_and_detach_under_load() {
    let (machine, engine) = online(4, true);
    let space = machine.new_space();
    let key = space.id().raw();
    for page in 0..PAGES {
        machine.map(space, page, 1);
    }
    machine.run_on(space, 0..4, 0);
    let versions = Versions::new();
    let devices: Vec<_> = (0..2)
        .map(|_| FakeTlb::new(machine, "D", Needs::UPGRADES))
        .collect();
    run_threads(machine, |cpu| {
        if let Some(device) = devices.get(cpu) {
            for _ in 0..150 {
                let attached = engine.attach(space, *device, AttachKey(key)).unwrap();
                device.start_walks(key);
                let version = versions.raise(machine, space, 3);
                engine.flush(space, leaf(3)).unwrap();
                assert!(device.read(key, 3).unwrap() >= version);
                engine.detach(space, attached).unwrap();
                let calls = device.calls();
                assert_eq!(device.read(key, 3), None, "silent, and nothing is left");
                std::thread::yield_now();
                assert_eq!(device.calls(), calls);
                assert!(!device.has_unsealed());
            }
        } else {
            for round in 0..600 {
                versions.change(machine, engine, space, round % PAGES);
            }
        }
    });
}

/// Spaces retire while others attach to them, switch to them and flush them: whoever was not refused was released.
#[test]
fn promise_06_retire_against_attach_switch_and_flush() {
    for broadcasts in [false, true] {
        let (machine, engine) = online(4, broadcasts);
        let arena: Vec<_> = (0..200).map(|_| machine.new_space()).collect();
        let meeting = Meeting::default();
        run_threads(machine, |cpu| {
            for (round, space) in arena.iter().enumerate() {
                meeting.wait(machine, round);
                match cpu {
                    0 => drop(engine.retire(space).unwrap().wait().unwrap()),
                    1 => attach_until_released(machine, engine, space),
                    2 => switch_until_left(machine, engine, space),
                    _ => drop(engine.flush(space, leaf(1))),
                }
            }
        });
        assert_eq!(engine.stats().timeouts, 0);
    }
}

fn attach_until_released(machine: &'static Machine, engine: &'static Engine, space: &Space) {
    let key = AttachKey(space.id().raw());
    let tlb = FakeTlb::new(machine, "D", Needs::UPGRADES);
    if engine.attach(space, tlb, key).is_ok() {
        while !tlb.queued().contains(&Op::Release(key)) {
            serve(machine);
        }
    }
}

fn switch_until_left(machine: &'static Machine, engine: &'static Engine, space: &Space) {
    let left = || machine.here().left_roots.load(Ordering::SeqCst);
    let before = left();
    if machine.with_irqs_off(|| engine.switch_to(space)).is_ok() {
        while left() == before {
            serve(machine);
        }
    }
}
