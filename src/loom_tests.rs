//! The protocols under every interleaving and every reordering that C11 allows: `--cfg loom`.
//!
//! Nobody spins here: each thread takes its steps and ends, and a run that hits loom's branch limit is a failure. What is freed
//! too early shows as a data race between who frees a cell and who still reads it through a cached entry.

mod amd;
mod attachment;
mod batches;
mod engine;
mod intervals;
mod mailbox;
mod power;
mod power_world;
mod world;
mod x86;
mod x86_world;

// Of std: they count for the test and are no part of the model.
use std::borrow::ToOwned as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{format, println, thread};

/// Runs a model with at most so many preemptions, or whole, and prints how many executions that were. Every defect that was put back
/// shows within its bound.
pub(crate) fn explore(preemptions: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.max_branches = 20_000;
    let executions = Arc::new(AtomicU64::new(0));
    let counter = executions.clone();
    model.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        f();
    });
    let bound = preemptions.map_or("unbounded".into(), |most| format!("{most} preemptions"));
    let name = thread::current().name().unwrap_or_default().to_owned();
    println!(
        "{name}: {} executions, {bound}",
        executions.load(Ordering::Relaxed)
    );
}
