//! How much random kernels do: what fits into every run of the tests, or what a night has time for.

use core::fmt::Debug;
use core::ops::Range;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// Holds the number of operations that each test with random kernels does in all; `cargo xtask test --nightly` sets it.
const VARIABLE: &str = "TLB_RANDOM_OPERATIONS";

/// Without it.
const USUAL: u32 = 18_000;

/// From here on kernels live longer, because some things come round late: identifiers, rings, generations.
const MANY: u32 = 200_000;

fn operations() -> u32 {
    let Ok(text) = std::env::var(VARIABLE) else {
        return USUAL;
    };
    let number = text.parse();
    number.unwrap_or_else(|_| panic!("{VARIABLE} is no number: {text}"))
}

/// Whether there is time for what takes long.
pub(crate) fn is_a_night() -> bool {
    operations() >= MANY
}

fn lengths() -> Range<usize> {
    if is_a_night() { 1..1200 } else { 1..120 }
}

/// What one kernel does, of operations drawn like this.
pub(crate) fn sequences<O: Debug>(op: impl Strategy<Value = O>) -> impl Strategy<Value = Vec<O>> {
    prop::collection::vec(op, lengths())
}

/// As many kernels as make that many operations.
pub(super) fn config() -> ProptestConfig {
    let mean = lengths().end as u32 / 2;
    ProptestConfig {
        cases: operations().div_ceil(mean),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Whether one of `cases` kernels, always the same ones, fails.
pub(crate) fn noticing<S: Strategy>(cases: u32, inputs: S, run: impl Fn(S::Value)) -> bool {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&inputs, |input| {
        run(input);
        Ok(())
    });
    result.is_err()
}
