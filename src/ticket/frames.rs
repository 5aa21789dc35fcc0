//! What a ticket holds until the shootdown is complete.

use crate::address::{PageSize, PhysAddr};
use crate::error::Incomplete;

/// Memory that a change of page tables took out of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Item {
    /// A page frame.
    Frame {
        /// Where it is.
        base: PhysAddr,
        /// How large it is.
        size: PageSize,
    },
    /// A page frame whose page was dirty: its reverse mapping goes before it does.
    DirtyFrame {
        /// Where it is.
        base: PhysAddr,
        /// How large it is.
        size: PageSize,
    },
    /// A page-table page.
    Table {
        /// Where it is.
        base: PhysAddr,
    },
}

/// Where memory goes when a ticket is done with it.
///
/// # Context
/// Called from the `wait`, `poll` or drop of the ticket that holds the memory, in whatever context the ticket's owner is: with
/// interrupts off and locks held, if the owner waits so.
pub trait FrameSink<const WORDS: usize> {
    /// No CPU and no device uses the frame any more.
    fn release_frame(&self, base: PhysAddr, size: PageSize);

    /// No CPU and no device can write to the frame any more, which was dirty when it was unmapped: its reverse mapping may go. Until now
    /// whoever cleans the page must find it. [`release_frame`](Self::release_frame) follows.
    fn remove_reverse_map(&self, base: PhysAddr, size: PageSize) {
        let _ = (base, size);
    }

    /// No CPU and no device walks the table any more.
    ///
    /// Software that walks page tables without a lock is not held off by a hardware broadcast. A kernel with such walkers lets a
    /// grace period of its RCU pass, or [`sync_lockless_walkers`](crate::shootdown::Shootdown::sync_lockless_walkers), before it
    /// reuses the page.
    fn release_table(&self, base: PhysAddr);

    /// Somebody has not answered: the memory may still be in use, and nothing of it may be reused. It can be given back when
    /// those named have been reset, taken offline or detached.
    fn quarantine(&self, items: &[Item], error: &Incomplete<WORDS>);
}

/// What a ticket holds: nothing, or [`Frames`].
pub trait Held<const WORDS: usize> {
    /// Everybody has answered.
    fn release(&mut self);
    /// The ticket is given up; the number of items that went into quarantine.
    fn quarantine(&mut self, error: &Incomplete<WORDS>) -> usize;
}

impl<const WORDS: usize> Held<WORDS> for () {
    fn release(&mut self) {}

    fn quarantine(&mut self, _error: &Incomplete<WORDS>) -> usize {
        0
    }
}

/// The storage of a [`Frames`] has no place for the item, which comes back to the caller: flush, then go on with an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StorageFull(pub Item);

/// Frames and tables on their way to a [`FrameSink`], in storage of the caller's: `[Item; N]`, or `&mut [Item]`.
///
/// The storage never lies in the memory that is being released.
pub struct Frames<'s, S: ?Sized, B> {
    sink: &'s S,
    storage: B,
    len: usize,
}

impl<'s, S: ?Sized> Frames<'s, S, [Item; 0]> {
    /// An empty collection of up to `N` items, inside the value itself.
    pub const fn inline<const N: usize>(sink: &'s S) -> Frames<'s, S, [Item; N]> {
        let vacant = Item::Table {
            base: PhysAddr::new(0),
        };
        Frames {
            sink,
            storage: [vacant; N],
            len: 0,
        }
    }

    /// An empty collection in storage that the caller lends. What the storage holds now is overwritten.
    pub const fn in_storage(sink: &'s S, storage: &'s mut [Item]) -> Frames<'s, S, &'s mut [Item]> {
        Frames {
            sink,
            storage,
            len: 0,
        }
    }
}

impl<S: ?Sized, B: AsRef<[Item]> + AsMut<[Item]>> Frames<'_, S, B> {
    /// Adds an item.
    ///
    /// # Errors
    /// [`StorageFull`] with the item.
    pub fn push(&mut self, item: Item) -> Result<(), StorageFull> {
        match self.storage.as_mut().get_mut(self.len) {
            Some(place) => {
                *place = item;
                self.len += 1;
                Ok(())
            }
            None => Err(StorageFull(item)),
        }
    }

    /// What is held.
    pub fn items(&self) -> &[Item] {
        self.storage.as_ref().get(..self.len).unwrap_or(&[])
    }
}

impl<S, B, const WORDS: usize> Held<WORDS> for Frames<'_, S, B>
where
    S: FrameSink<WORDS> + ?Sized,
    B: AsRef<[Item]> + AsMut<[Item]>,
{
    fn release(&mut self) {
        for item in self.items() {
            match *item {
                Item::Frame { base, size } => self.sink.release_frame(base, size),
                Item::DirtyFrame { base, size } => {
                    self.sink.remove_reverse_map(base, size);
                    self.sink.release_frame(base, size);
                }
                Item::Table { base } => self.sink.release_table(base),
            }
        }
        self.len = 0;
    }

    fn quarantine(&mut self, error: &Incomplete<WORDS>) -> usize {
        let items = self.len;
        if items > 0 {
            self.sink.quarantine(self.items(), error);
        }
        self.len = 0;
        items
    }
}
