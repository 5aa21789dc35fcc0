//! The life of a slot: nobody is inside once it is empty, and nobody takes one attachment for another.

use super::world::SILENT;
use super::{three_cpus, two_cpus};
use crate::attachment::{Attached, Purpose, Slots, Status};
use crate::secondary::AttachKey;
use crate::sync::{AtomicU32, Ordering, UnsafeCell, fence};
use loom::sync::Arc;
use loom::thread;

struct World {
    slots: Slots,
    /// What a call to the device uses, and what may go when it is detached.
    device: UnsafeCell<u32>,
}

impl World {
    fn new() -> (Arc<Self>, u32) {
        let world = Arc::new(Self {
            slots: Slots::new(),
            device: UnsafeCell::new(0),
        });
        let (index, generation) = world.slots.attach(attached(0)).expect("empty");
        assert_eq!(index, 0);
        (world, generation)
    }

    fn call(&self, purpose: Purpose, generation: u32) {
        let Some(slot) = self.slots.get(0) else {
            return;
        };
        let inside = slot.enter(purpose);
        if let Some(inside) = inside.filter(|inside| inside.generation() == generation) {
            assert_eq!(
                inside.key(),
                AttachKey(0),
                "the attachment of this generation"
            );
            self.device.with(|_| ());
        }
    }

    /// As `detach` does it once the device is silent; whether it could end.
    fn detach(&self, generation: u32) -> bool {
        let slot = self.slots.get(0).expect("the slot exists");
        assert!(slot.advance(generation, Status::Live, Status::Stopping));
        assert!(slot.advance(generation, Status::Stopping, Status::Draining));
        let ended = self.slots.free(0, generation);
        if ended {
            self.device.with_mut(|_| ());
        }
        ended
    }
}

fn attached(key: u64) -> Attached {
    Attached {
        tlb: &SILENT,
        key: AttachKey(key),
    }
}

#[test]
fn loom_promise_03_no_call_is_under_way_once_a_slot_is_empty() {
    two_cpus(|| {
        let (world, generation) = World::new();
        let caller = {
            let world = world.clone();
            thread::spawn(move || {
                world.call(Purpose::Queue, generation);
                world.call(Purpose::Poll, generation);
            })
        };
        if world.detach(generation) {
            // Another device takes the place: the caller never meets it under the old generation.
            let (_, next) = world.slots.attach(attached(1)).expect("empty again");
            assert_ne!(next, generation);
        }
        caller.join().unwrap();
        assert!(!world.slots.summary().is_empty());
    });
}

/// Two attaches and one detach: each attachment has a place of its own, and the summary knows every one of them.
#[test]
fn loom_promise_02_attaches_race_for_places() {
    three_cpus(|| {
        let (world, generation) = World::new();
        let others = [1, 2].map(|key| {
            let world = world.clone();
            thread::spawn(move || world.slots.attach(attached(key)).expect("8 places"))
        });
        let ended = world.detach(generation);
        let [a, b] = others.map(|other| other.join().unwrap());
        assert!(ended);
        assert_ne!(a.0, b.0);
        for (index, key) in [(a.0, 1), (b.0, 2)] {
            let slot = world.slots.get(index).expect("it was given");
            let inside = slot.enter(Purpose::Queue).expect("it is live");
            assert_eq!(inside.key(), AttachKey(key));
        }
        assert!(!world.slots.summary().is_empty());
    });
}

/// The flush stores and looks, the attach publishes and walks: one of them sees the other.
#[test]
fn loom_promise_02_attach_against_flush() {
    two_cpus(|| {
        let slots = Arc::new(Slots::new());
        let entry = Arc::new(AtomicU32::new(1));
        let device = {
            let (slots, entry) = (slots.clone(), entry.clone());
            thread::spawn(move || {
                slots.attach(attached(1)).expect("empty");
                fence(Ordering::SeqCst);
                entry.load(Ordering::Relaxed)
            })
        };
        entry.store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let told = !slots.summary().is_empty();
        let walked = device.join().unwrap();
        assert!(told || walked == 0);
    });
}
