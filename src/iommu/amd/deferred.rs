//! Commands that may start only after others are complete: the second stages.
//!
//! Each seal marks what it leaves behind with its own position. One batch is under way at a time: the front of the list, as far as the
//! completions reach and as far as the commands are of one kind. A later stage never overtakes an earlier one that way.

use super::command::Command;

/// A command that waits.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The fence after which it may start; `None` before the seal.
    after: Option<u64>,
    /// The slot of the device whose TLB it concerns.
    device: Option<usize>,
    command: Command,
}

/// The commands that wait, oldest first.
#[derive(Debug)]
pub(super) struct Deferred<const N: usize> {
    entries: [Entry; N],
    first: usize,
    len: usize,
}

impl<const N: usize> Deferred<N> {
    pub(super) const fn new() -> Self {
        let none = Entry {
            after: None,
            device: None,
            command: Command::wait(),
        };
        Self {
            entries: [none; N],
            first: 0,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len as u64
    }

    fn at(&self, index: usize) -> Option<&Entry> {
        if index >= self.len {
            return None;
        }
        self.entries.get((self.first + index) % N)
    }

    fn place(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries.get_mut((self.first + index) % N.max(1))
    }

    /// The fence that the oldest waits for.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.at(0)?.after
    }

    /// Entries of a ring that they take at most, with the waits between them.
    pub(super) fn room(&self) -> u64 {
        if self.len == 0 {
            return 0;
        }
        let changes = (1..self.len)
            .filter(|&index| self.opcode(index) != self.opcode(index - 1))
            .count();
        (self.len + changes + 1) as u64
    }

    fn opcode(&self, index: usize) -> Option<u8> {
        Some(self.at(index)?.command.opcode())
    }

    /// Adds one; the caller has made sure of the room.
    pub(super) fn push(&mut self, device: Option<usize>, command: Command) {
        if self.len >= N {
            return;
        }
        let entry = Entry {
            after: None,
            device,
            command,
        };
        if let Some(place) = self.place(self.len) {
            *place = entry;
            self.len += 1;
        }
    }

    /// Lets those added since the last seal wait for this fence; gives their devices' slots, each as a bit that `bit` makes.
    pub(super) fn seal(&mut self, fence: u64, bit: fn(usize) -> u64) -> u64 {
        let mut devices = 0;
        for index in 0..self.len {
            if let Some(entry) = self.place(index)
                && entry.after.is_none()
            {
                entry.after = Some(fence);
                devices |= entry.device.map_or(0, bit);
            }
        }
        devices
    }

    /// How many at the front may start together.
    pub(super) fn ready(&self, complete: u64) -> u64 {
        let kind = self.opcode(0);
        (0..self.len)
            .take_while(|&index| {
                let entry = self.at(index);
                self.opcode(index) == kind
                    && entry
                        .and_then(|entry| entry.after)
                        .is_some_and(|after| after <= complete)
            })
            .count() as u64
    }

    /// Takes the oldest, with the slot of its device.
    pub(super) fn pop(&mut self) -> Option<(Option<usize>, Command)> {
        let entry = *self.at(0)?;
        self.first = (self.first + 1) % N;
        self.len -= 1;
        Some((entry.device, entry.command))
    }

    /// Forgets those of one device.
    pub(super) fn drop_device(&mut self, device: usize) {
        let mut kept = 0;
        for index in 0..self.len {
            if let Some(entry) = self.at(index).copied()
                && entry.device != Some(device)
                && let Some(place) = self.place(kept)
            {
                *place = entry;
                kept += 1;
            }
        }
        self.len = kept;
    }
}
