//! Sets of addresses: what was asked for, and what is covered.

/// A run of bytes, the end inclusive.
pub(crate) type Run = (u64, u64);

/// The union of the runs, sorted and merged.
pub(crate) fn union(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable();
    let mut merged: Vec<Run> = Vec::new();
    for (first, last) in runs {
        match merged.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => {
                previous.1 = previous.1.max(last);
            }
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// The run rounded outward to blocks of `1 << shift` bytes.
pub(crate) fn rounded((first, last): Run, shift: u8) -> Run {
    let mask = (1 << shift) - 1;
    (first & !mask, last | mask)
}

/// Promise 3: no address of a request is left out.
#[track_caller]
pub(crate) fn assert_covered(runs: &[Run], asked: Run) {
    let is_covered = |run: &Run| run.0 <= asked.0 && asked.1 <= run.1;
    assert!(
        union(runs.to_vec()).iter().any(is_covered),
        "{asked:x?} is not covered by {runs:x?}"
    );
}

/// How many 4 KiB pages the runs cover together.
pub(crate) fn pages(runs: &[Run]) -> u128 {
    let pages = |(first, last): Run| u128::from((last >> 12) - (first >> 12)) + 1;
    union(runs.to_vec()).into_iter().map(pages).sum()
}
