//! A hundred flushes of each kind, for an instruction counter: `valgrind --tool=callgrind --toggle-collect='*flush_page*'`.

mod support;

fn main() {
    let (engine, space) = support::engine();
    for _ in 0..100 {
        support::flush_page(&engine, &space);
        support::flush_512_pages(&engine, &space);
        engine.arch().instructions().take();
    }
}
