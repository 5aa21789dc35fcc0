//! What the test harness asks of a kernel, by names that the linker resolves.

use crate::exit::{End, exit};
use crate::words;

#[unsafe(no_mangle)]
fn hosting_words() -> &'static str {
    words::read()
}

#[unsafe(no_mangle)]
fn hosting_passed() -> ! {
    exit(End::Well)
}
