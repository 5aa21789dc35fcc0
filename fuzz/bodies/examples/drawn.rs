//! Runs a target on drawn bytes: `drawn <target> <seconds>` says how many inputs it has run. Without arguments it lists the targets.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tlb_shootdown_fuzz_bodies::{TARGETS, bytes_of};

/// Inputs are no longer than this.
const LONGEST: u64 = 1000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        TARGETS.iter().for_each(|target| println!("{}", target.0));
        return;
    };
    let seconds = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let target = TARGETS.iter().find(|target| target.0 == name);
    let body = target.unwrap_or_else(|| panic!("no target {name}")).1;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = now.map_or(0, |now| now.as_secs() << 32);
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut inputs = 0;
    while start.elapsed() < limit {
        let number = first + inputs;
        let len = (number % LONGEST) as usize;
        if std::panic::catch_unwind(|| body(&bytes_of(number, len))).is_err() {
            panic!("{name} fails on bytes_of({number}, {len})");
        }
        inputs += 1;
    }
    println!("{inputs}");
}
