//! The spin lock itself.

use super::two_cpus;
use super::world::Page;
use crate::sync::spin_loop;
use crate::ticket_lock::TicketLock;
use loom::sync::Arc;
use loom::thread;

/// Whoever has the lock has what it protects alone, and sees what the last one did to it. Nobody waits for ever.
#[test]
fn loom_promise_07_one_at_a_time_in_a_ticket_lock() {
    two_cpus(|| {
        let world = Arc::new((TicketLock::new(), Page::new()));
        let there = world.clone();
        let other = thread::spawn(move || there.0.with(spin_loop, || there.1.free()));
        for _ in 0..2 {
            world.0.with(spin_loop, || world.1.free());
        }
        other.join().unwrap();
    });
}
