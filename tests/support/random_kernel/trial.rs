//! Runs random kernels, and tells the shortest of those that fail in words.

use super::amount::config;
use super::loan::on_loan;
use super::op::Op;
use core::cell::Cell;
use core::fmt::Debug;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};
use std::hash::{BuildHasher, RandomState};
use std::thread::current;

/// As many kernels as there is time for, each on a machine of its own. They are drawn from a seed that a failure names, which
/// `PROPTEST_RNG_SEED` draws them from again.
pub(crate) fn random_kernels<S, O>(
    settings: impl Strategy<Value = S>,
    ops: impl Strategy<Value = Vec<Op<O>>>,
    run: impl Fn(S, &[Op<O>]),
) where
    S: Clone + Debug,
    O: Clone + Debug,
{
    let usual = config();
    let seed = match usual.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one("a seed"),
    };
    let mut runner = TestRunner::new(ProptestConfig {
        rng_seed: RngSeed::Fixed(seed),
        ..usual
    });
    let run = |setting, ops: &[_]| {
        // SAFETY: the machine and its kernel end within.
        unsafe { on_loan(|| run(setting, ops)) }
    };
    let tried = Cell::new(0_u64);
    let result = runner.run(&(settings, ops), |(setting, ops)| {
        run(setting, &ops);
        tried.set(tried.get() + 1);
        Ok(())
    });
    match result {
        Ok(()) => println!("{} cases", tried.get()),
        Err(TestError::Fail(_, (setting, ops))) => {
            tell(&setting, &ops, seed);
            run(setting, &ops);
            panic!("it has failed before, and does not fail again");
        }
        Err(error) => panic!("{error}"),
    }
}

/// Before it is run once more, which ends in the panic itself.
fn tell<O: Debug>(setting: &impl Debug, ops: &[Op<O>], seed: u64) {
    let name = current().name().unwrap_or("").to_owned();
    eprintln!("random kernel of {} operations, on {setting:?}", ops.len());
    ops.iter().for_each(|op| eprintln!("  {op}"));
    eprintln!("found again by PROPTEST_RNG_SEED={seed} cargo test {name}");
}
