//! The words with which the image was booted, which the runner puts into memory, a zero behind them.

use core::ptr::with_exposed_provenance;
use core::slice;

use crate::layout::{KERNEL_OFFSET, WORDS};

const CAPACITY: usize = 256;

/// Reads them.
///
/// # Panics
/// Where they are no text.
pub(crate) fn read() -> &'static str {
    let start = with_exposed_provenance((WORDS + KERNEL_OFFSET) as usize);
    // SAFETY: mapped, initialised by the machine's reset, and nobody else's.
    let bytes: &[u8] = unsafe { slice::from_raw_parts(start, CAPACITY) };
    let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(CAPACITY);
    core::str::from_utf8(&bytes[..len]).expect("words are text")
}
