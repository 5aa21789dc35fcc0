//! The commands under way.

use super::command::Command;
use crate::requests::Dropped;
use alloc::vec::Vec;

/// A command that has been fetched and is not complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetched {
    pub(super) command: Command,
    /// Where it was fetched from: an event names it by that.
    pub(super) at: u64,
    /// Sent to a device, which has not answered for so many turns.
    pub(super) sent: Option<u32>,
}

/// What becomes of the next command of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoiled {
    pub(super) opcode: u8,
    /// Bits that are set in its two words.
    pub(super) words: [u64; 2],
}

/// What was fetched and is not complete, in the order of fetching.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) outstanding: Vec<Fetched>,
    /// Refused, given up, or forgotten with the buffer.
    pub(super) dropped: Dropped,
    /// The next fetch finds no memory.
    pub(super) abort_next: bool,
    /// The next fetch of a command finds bits set in its slot.
    pub(super) spoil_next: Option<Spoiled>,
    /// Everything is done in the end without a wait that asks for it, as when a machine is left alone for long.
    pub(super) pressed: bool,
    /// Nothing moves, as if the clock had stopped.
    pub(super) frozen: bool,
}

impl Work {
    /// Something has to be done: a wait waits for it, or the test that lets everything settle.
    pub(super) fn presses(&self) -> bool {
        let mut outstanding = self.outstanding.iter();
        self.pressed || outstanding.any(|fetched| matches!(fetched.command, Command::Wait(_)))
    }

    /// What may be done next: a wait once nothing is before it, anything else unless a wait with F is.
    pub(super) fn ready(&self) -> Vec<usize> {
        let mut ready = Vec::new();
        for (index, fetched) in self.outstanding.iter().enumerate() {
            match fetched.command {
                Command::Wait(wait) => {
                    if index == 0 {
                        ready.push(index);
                    }
                    if wait.flush {
                        break;
                    }
                }
                _ if fetched.sent.is_none() => ready.push(index),
                _ => {}
            }
        }
        ready
    }
}
