//! The protocols under every interleaving and every reordering that C11 allows: `--cfg loom`.
//!
//! Nobody spins here: each thread takes its steps and ends, and a run that hits loom's branch limit is a failure. What is freed
//! too early shows as a data race between who frees a cell and who still reads it through a cached entry.

mod amd;
mod attachment;
mod engine;
mod intervals;
mod mailbox;
mod power;
mod power_world;
mod world;
mod x86;
mod x86_world;

/// Runs a model with at most so many preemptions, or whole. Every defect that was put back shows within its bound.
fn explore(preemptions: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.max_branches = 20_000;
    model.check(f);
}
