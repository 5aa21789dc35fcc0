//! How long the engine itself takes, on the recorder: figures to compare within one run, never across machines.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};

fn flush(c: &mut Criterion) {
    let (engine, space) = support::engine();
    c.bench_function("flush_page", |b| {
        b.iter(|| {
            support::flush_page(&engine, &space);
            engine.arch().instructions().take()
        });
    });
    c.bench_function("flush_512_pages", |b| {
        b.iter(|| {
            support::flush_512_pages(&engine, &space);
            engine.arch().instructions().take()
        });
    });
}

criterion_group!(benches, flush);
criterion_main!(benches);
