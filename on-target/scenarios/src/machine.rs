//! What a machine must be able to do to be shown on.

use crate::{Cost, Observer, Refusal, Yardstick};

/// Pages that a space has, adjacent and in order.
pub const PAGES: u8 = 8;

/// A page of the space under test, `0..PAGES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(pub u8);

/// A frame of memory, `0..2 * PAGES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(pub u8);

/// What a mapping allows, to user-mode accesses and devices alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Reads alone.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// Where a page leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The frame.
    pub frame: Frame,
    /// What it may be used for.
    pub rights: Rights,
}

/// What the entry above the table of the pages says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// Nothing: no page is mapped.
    Empty,
    /// Where the table is: so after a reset.
    Table,
    /// That a large page stands in its place, which is writable and maps every page to the frame of the same number.
    LargePage,
}

/// How an access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It was done: the word read or written.
    Done(u64),
    /// It was refused.
    Refused(Refusal),
}

/// What the crate is asked to invalidate, always after the page table was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// One page whose rights were only widened.
    Upgrade(Page),
    /// One page changed in any other way.
    Page(Page),
    /// `count` pages from `first`.
    Range {
        /// The first page.
        first: Page,
        /// How many, at least 1.
        count: u8,
    },
    /// The whole space by its id.
    Space,
    /// Pages that one operation unmapped, gathered.
    Gather(&'static [Page]),
    /// The same pages of two spaces, in one batch: of the space under test and of its neighbour, which the same CPUs have run before it.
    Reclaim(&'static [Page]),
}

/// A machine with an address space, CPUs that run it and a device that may share it.
///
/// Implementors promise that an access by an observer really goes through that observer's own TLB, and that
/// [`Machine::change`], [`Machine::set_directory`] and [`Machine::fill`] alone leave every TLB as it is.
pub trait Machine {
    /// Why the machine itself failed: never a refused access.
    type Error;

    /// What this machine can show and what an invalidation must cost on it.
    fn yardstick(&self) -> &'static Yardstick;

    /// Begins anew: an empty space of which no observer holds a translation, run by this CPU and, for
    /// [`Observer::OtherCpu`], by that CPU too; attached to the device for [`Observer::Device`] alone.
    ///
    /// # Errors
    /// The machine's own.
    fn reset(&mut self, observer: Observer) -> Result<(), Self::Error>;

    /// Puts `word` into the first word of `frame`, past all translations under test.
    fn fill(&mut self, frame: Frame, word: u64);

    /// The first word of `frame`, past all translations under test.
    fn word(&self, frame: Frame) -> u64;

    /// Stores the page-table entry of `page` (`None`: not mapped) and invalidates nothing.
    ///
    /// # Errors
    /// The machine's own.
    fn change(&mut self, page: Page, mapping: Option<Mapping>) -> Result<(), Self::Error>;

    /// Stores the entry above the table of the pages and invalidates nothing. With [`Directory::LargePage`] the table, which nobody
    /// can walk then, is also made to map the rest of that page as it does.
    ///
    /// # Errors
    /// The machine's own.
    fn set_directory(&mut self, to: Directory) -> Result<(), Self::Error>;

    /// Lets `observer` read the first word of `page`.
    ///
    /// # Errors
    /// The machine's own.
    fn read(&mut self, observer: Observer, page: Page) -> Result<Access, Self::Error>;

    /// Lets `observer` write `word` into the first word of `page`.
    ///
    /// # Errors
    /// The machine's own.
    fn write(&mut self, observer: Observer, page: Page, word: u64) -> Result<Access, Self::Error>;

    /// Has the crate invalidate, and waits until it is complete.
    ///
    /// # Errors
    /// The machine's own, a shootdown that did not complete among them.
    fn flush(&mut self, flush: Flush) -> Result<Cost, Self::Error>;

    /// Has the crate replace the large page by the table of the pages. Before the table is stored `observer` accesses `page` once more,
    /// in whatever way needs no other page; how that ended comes back with the cost.
    ///
    /// # Errors
    /// As for [`Machine::flush`].
    fn split(&mut self, observer: Observer, page: Page) -> Result<(Access, Cost), Self::Error>;
}
