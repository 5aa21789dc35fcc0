//! Reports for a person, through `log` and `defmt` where those features are on.
//!
//! The crate itself never logs: not under a lock, not in an interrupt handler, not while anybody waits for an answer. What
//! happened is in return values and counters; a kernel calls [`report_incomplete`] from where logging is safe.

use crate::error::Incomplete;

/// Writes one warning that names who has not answered. Without the features `log` and `defmt` it does nothing.
///
/// # Context
/// Whatever the log's own sink allows; never with a page-table lock held.
pub fn report_incomplete<const WORDS: usize>(error: &Incomplete<WORDS>) {
    #[cfg(feature = "log")]
    log::warn!("TLB shootdown incomplete: {error}");
    #[cfg(feature = "defmt")]
    defmt::warn!("TLB shootdown incomplete: {}", error);
    let _ = error;
}
