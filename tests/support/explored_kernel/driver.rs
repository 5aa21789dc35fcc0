//! Explores a theme on a machine: short runs before long ones, so that what fails first is as short as it can be.

use super::Booted;
use super::kernel::Kernel;
use super::theme::Theme;
use crate::random_kernel::{Machine, is_a_night, on_loan};
use std::thread::{current, panicking};
use tlb_shootdown_model::explore::{self, Bounds, choose, quietly, replay, say};

/// Holds the run that is to be seen again, as it was printed.
const VARIABLE: &str = "TLB_EXPLORED_RUN";

/// An exploration that would take more runs has failed: nobody knows what is in the others.
const MOST_RUNS: u64 = 50_000;

/// The same in a night.
const MOST_RUNS_OF_A_NIGHT: u64 = 20_000_000;

/// All runs of up to so many steps on a machine that is as late as may be, and all of up to so many in which it does one thing otherwise. In
/// a night those are longer by two and these by one, and after them come all in which it does two things otherwise.
pub(crate) fn explore<M: Machine>(
    theme: &Theme,
    [steps, deviating]: [usize; 2],
    boot: impl Fn() -> Booted<M>,
) {
    if let Ok(run) = std::env::var(VARIABLE) {
        replay(&run, || run_once(theme, steps + 2, &boot));
        return;
    }
    let reach: &[_] = match is_a_night() {
        true => &[steps + 2, deviating + 1, deviating],
        false => &[steps, deviating],
    };
    for (deviations, &steps) in reach.iter().enumerate() {
        explore_within(theme, steps, deviations, &boot);
    }
}

fn explore_within<M: Machine>(
    theme: &Theme,
    steps: usize,
    deviations: usize,
    boot: impl Fn() -> Booted<M>,
) {
    let bounds = Bounds {
        deviations,
        runs: match is_a_night() {
            true => MOST_RUNS_OF_A_NIGHT,
            false => MOST_RUNS,
        },
    };
    let hint = Hint;
    let explored = explore::explore(bounds, || run_once(theme, steps, &boot));
    drop(hint);
    let name = name();
    let theme = theme.name;
    println!(
        "{name}: {theme}, {steps} steps, {deviations} deviations of the machine: {} runs, {} states",
        explored.runs, explored.states,
    );
    assert!(explored.is_complete, "there are more runs: {explored:?}");
}

/// One run of up to so many steps.
fn run_once<M: Machine>(theme: &Theme, steps: usize, boot: impl Fn() -> Booted<M>) {
    // How long it is comes first: the shortest are the first of all.
    let steps = 1 + choose(steps);
    // SAFETY: the kernel ends within, and nothing is left of it.
    unsafe {
        on_loan(|| {
            let mut kernel = quietly(|| Kernel::new(boot(), theme));
            let mut left = steps;
            while left > 0 && kernel.step(theme.steps) {
                left -= 1;
            }
            say("everybody goes on until all have answered");
            quietly(|| kernel.end())
        })
    }
}

fn name() -> String {
    current().name().unwrap_or("a test").to_owned()
}

/// Tells how to see again what has failed.
struct Hint;

impl Drop for Hint {
    fn drop(&mut self) {
        if panicking() {
            eprintln!(
                "see it again: {VARIABLE}=(the run above) cargo test {}",
                name()
            );
        }
    }
}
