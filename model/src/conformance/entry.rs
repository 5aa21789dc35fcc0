//! Test pages: what their entries say, and who uses them.

use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};

/// How many test pages there are, adjacent and in order.
pub const PAGES: usize = 4;

/// One of two frames of memory, which nobody else uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The one.
    First,
    /// The other.
    Second,
}

impl Frame {
    /// What the kernel puts into the first eight bytes of the frame before the suite begins.
    pub const fn word(self) -> u64 {
        match self {
            Self::First => 0x0f1a_57f1_a570_0001,
            Self::Second => 0x05ec_05ec_05ec_0002,
        }
    }
}

/// What the page-table entry of a test page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Not mapped: every access faults.
    Nothing,
    /// Reads lead to this frame, writes fault.
    ReadOnly(Frame),
    /// Reads and writes lead to this frame.
    ReadWrite(Frame),
}

/// Whoever uses the test pages through a TLB of its own: the executing CPU, in the manner of a user-mode access, or a device.
pub trait Agent: Sync {
    /// The first eight bytes of the page; `None` where the access was refused.
    fn read(&self, page: usize) -> Option<u64>;

    /// Stores something to the page behind its first eight bytes; false where the access was refused. The kernel repairs no
    /// fault on the way.
    fn write(&self, page: usize) -> bool;
}

/// [`PAGES`] test pages of one size, their page-table entries, and an agent.
pub trait Window: Agent {
    /// The size of each.
    fn page_size(&self) -> PageSize;

    /// Where page number `page` begins.
    fn address(&self, page: usize) -> VirtAddr;

    /// Stores the entry of a page and nothing else: tells no TLB. Called on any CPU, by one at a time, with the tables locked
    /// as they are for any change.
    fn store(&self, page: usize, entry: Entry);

    /// Takes the last-level table of the pages out of the tree (false), or puts it or a new one back (true); tells no TLB. Every page is
    /// stored anew after it was put back. False where the kernel cannot.
    fn hang_table(&self, hung: bool) -> bool {
        let _ = hung;
        false
    }
}

/// All test pages.
pub(super) fn range<W: Window + ?Sized>(window: &W) -> PageRange {
    let first = PageRange::page(window.address(0), window.page_size());
    first.hull(&PageRange::page(
        window.address(PAGES - 1),
        window.page_size(),
    ))
}

/// Whether the agent finds in the page what its entry says. Rights are looked at by a write, and only where it is asked for.
pub(super) fn finds<A: Agent + ?Sized>(
    agent: &A,
    page: usize,
    entry: Entry,
    with_rights: bool,
) -> bool {
    let (frame, writable) = match entry {
        Entry::Nothing => (None, false),
        Entry::ReadOnly(frame) => (Some(frame), false),
        Entry::ReadWrite(frame) => (Some(frame), true),
    };
    agent.read(page) == frame.map(Frame::word) && (!with_rights || agent.write(page) == writable)
}
