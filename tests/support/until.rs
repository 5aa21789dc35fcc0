//! Waiting for others, within bounds: a test that waits for ever tells nobody why.

/// Far more turns than anybody takes who answers at all.
const TURNS: u32 = 1_000_000;

/// Turns until something is found. Other threads get the CPU in between.
#[track_caller]
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..TURNS {
        if let Some(found) = look() {
            return found;
        }
        std::thread::yield_now();
    }
    panic!("nobody answers");
}
