//! The protocols under every interleaving and every reordering that C11 allows: `--cfg loom`.
//!
//! Nobody spins here: each thread takes its steps and ends, and a run that hits loom's branch limit is a failure. What is freed
//! too early shows as a data race between who frees a cell and who still reads it through a cached entry.

mod attachment;
mod batches;
mod engine;
mod intervals;
mod mailbox;
mod power;
mod power_world;
mod rings;
mod ticket_lock;
mod tickets;
mod world;
mod x86;
mod x86_world;

use core::fmt;
// Of std: they count for the test and are no part of the model.
use std::borrow::ToOwned as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, println, thread};

/// Where it is set, what takes minutes or hours is explored as well: `cargo xtask verify --long`.
const AT_LENGTH: &str = "TLB_LOOM_AT_LENGTH";

/// More choices than any of the models has in one execution. Loom panics at this limit, which is a failure.
const MOST_BRANCHES: usize = 20_000;

/// Two CPUs, or a CPU and a device, in every order.
pub(crate) fn two_cpus(f: impl Fn() + Sync + Send + 'static) {
    explore(Orders::ALL, f);
}

/// Two CPUs with too many orders for every run of the tests: those with at most so many preemptions, and at length all of them.
pub(crate) fn two_cpus_in_part(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    explore(Orders::in_part(preemptions), f);
}

/// Three CPUs, or two and a device, with at most 3 preemptions.
pub(crate) fn three_cpus(f: impl Fn() + Sync + Send + 'static) {
    explore(Orders::AT_MOST_3, f);
}

/// Which orders of the CPUs' steps are taken: those with at most so many preemptions.
#[derive(Clone, Copy)]
struct Orders {
    preemptions: Option<usize>,
    is_part: bool,
}

impl Orders {
    const ALL: Self = Self {
        preemptions: None,
        is_part: false,
    };
    const AT_MOST_3: Self = Self {
        preemptions: Some(3),
        is_part: false,
    };

    fn in_part(preemptions: usize) -> Self {
        let is_part = env::var_os(AT_LENGTH).is_none();
        Self {
            preemptions: is_part.then_some(preemptions),
            is_part,
        }
    }
}

impl fmt::Display for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.preemptions {
            Some(most) => write!(f, "at most {most} preemptions")?,
            None => f.write_str("unbounded")?,
        }
        if self.is_part {
            f.write_str("; unbounded at length")?;
        }
        Ok(())
    }
}

/// Runs a model in these orders and prints how many executions that were. Loom's other limits would end it early and in silence, and are
/// taken from the environment unless they are set here.
fn explore(orders: Orders, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = orders.preemptions;
    model.max_branches = MOST_BRANCHES;
    model.max_permutations = None;
    model.max_duration = None;
    model.checkpoint_file = None;
    let executions = Arc::new(AtomicU64::new(0));
    let counter = executions.clone();
    model.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        f();
    });
    let name = thread::current().name().unwrap_or_default().to_owned();
    let executions = executions.load(Ordering::Relaxed);
    println!("{name}: {executions} executions, {orders}");
}

/// The control: a model that takes more choices than the limit allows fails, and does not pass for explored.
#[test]
#[should_panic(expected = "exceeded maximum number of branches")]
fn loom_stops_at_its_branch_limit_with_a_failure() {
    two_cpus(|| {
        for _ in 0..=MOST_BRANCHES {
            loom::thread::yield_now();
        }
    });
}
