//! The commands under way.

use super::command::{AtcInv, Command};
use crate::requests::Dropped;
use alloc::vec::Vec;

/// What has been consumed and not been done.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) outstanding: Vec<Command>,
    /// Sent to devices that have not answered.
    pub(super) unanswered: Vec<AtcInv>,
    /// Refused, or given up.
    pub(super) dropped: Dropped,
    pub(super) waited: u32,
    pub(super) failures: u32,
    /// The next fetch finds no memory.
    pub(super) abort_next: bool,
    /// Nothing is consumed, as if the clock had stopped.
    pub(super) frozen: bool,
}
