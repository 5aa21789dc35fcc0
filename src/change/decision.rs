//! What has to be done about a change.

use super::reason::Reason;
use super::rule;
use crate::address::{PageRange, PageSize};
use crate::flush::{Depth, Flush};
use crate::secondary::Needs;

/// The call of [`Shootdown`](crate::shootdown::Shootdown) that a change asks for.
///
/// Who is flushed and who is told follows from the call, so that a decision cannot promise what the engine does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Call {
    /// None.
    Nothing,
    /// [`fix_spurious_fault`](crate::shootdown::Shootdown::fix_spurious_fault).
    FixSpuriousFault,
    /// [`upgrade`](crate::shootdown::Shootdown::upgrade); or after the store, where
    /// [`breaks_upgrades`](crate::shootdown::Shootdown::breaks_upgrades) does not speak against it,
    /// [`flush_upgrade`](crate::shootdown::Shootdown::flush_upgrade) or [`start_upgrade`](crate::shootdown::Shootdown::start_upgrade).
    Upgrade,
    /// [`flush`](crate::shootdown::Shootdown::flush) or [`start`](crate::shootdown::Shootdown::start); where the entry has to be
    /// invalid in between, [`replace`](crate::shootdown::Shootdown::replace) makes both stores visible.
    Flush,
    /// [`start_kernel`](crate::shootdown::Shootdown::start_kernel) or
    /// [`flush_kernel_range`](crate::shootdown::Shootdown::flush_kernel_range).
    FlushKernel,
    /// [`flush_kernel_tables`](crate::shootdown::Shootdown::flush_kernel_tables) or
    /// [`start_kernel_tables`](crate::shootdown::Shootdown::start_kernel_tables), with the range alone.
    FlushKernelTables,
    /// [`retire`](crate::shootdown::Shootdown::retire). It stands for every flush of the space that has not been made.
    Retire,
}

/// Which CPUs have to drop entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cpus {
    /// None.
    None,
    /// This one alone.
    This,
    /// All that may hold some; this one alone where the platform repairs spurious faults
    /// ([`repairs_spurious_faults`](crate::platform::Platform::repairs_spurious_faults)).
    AllUnlessRepaired,
    /// All that may hold some.
    All,
}

/// Which secondary TLBs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// None.
    None,
    /// Those attached to the space, or for kernel tables registered with the engine, that declare this need.
    Needing(Needs),
    /// All that are attached to the space.
    All,
}

/// Until when a flush may be put off, the strictest first. Whatever is put off can be seen by nobody as done: an operation that would
/// skip its own flush because of what it finds in the entry makes up for it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PutOff {
    /// Not at all: the next store depends on it.
    No,
    /// Until the caller drops the lock under which the table is changed.
    UntilTableUnlocked,
    /// Until the caller drops the lock of the address space, under which nobody else changes its mappings.
    UntilSpaceUnlocked,
    /// Until the contents are read to be kept: before I/O starts, before they are copied or compared. What is written through an
    /// old entry after that is lost.
    UntilRead,
    /// Until the memory behind the old entries, or for kernel mappings their addresses, are used anew.
    UntilReuse,
    /// For as long as the caller can bear an answer that is out of date. Nothing goes wrong but that.
    Freely,
}

/// What a change asks for. Made by an architecture's `decide`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Decision {
    pub(super) call: Call,
    pub(super) depth: Depth,
    pub(super) size_counts: bool,
    pub(super) put_off: PutOff,
    pub(super) invalid_between: bool,
}

impl Decision {
    /// Nothing to do.
    pub const NOTHING: Self = Self {
        call: Call::Nothing,
        depth: Depth::Leaf,
        size_counts: false,
        put_off: PutOff::Freely,
        invalid_between: false,
    };

    /// What is right on every machine. An architecture asks for the same or for less.
    pub const fn on_any_machine(reason: Reason) -> Self {
        rule::on_any_machine(reason)
    }

    /// The call to make.
    pub const fn call(&self) -> Call {
        self.call
    }

    /// Which CPUs it reaches.
    pub const fn cpus(&self) -> Cpus {
        match self.call {
            Call::Nothing => Cpus::None,
            Call::FixSpuriousFault => Cpus::This,
            Call::Upgrade => Cpus::AllUnlessRepaired,
            Call::Flush | Call::FlushKernel | Call::FlushKernelTables | Call::Retire => Cpus::All,
        }
    }

    /// Which secondary TLBs it tells.
    pub const fn told(&self) -> Told {
        match self.call {
            Call::Nothing | Call::FixSpuriousFault | Call::FlushKernel => Told::None,
            Call::Upgrade => Told::Needing(Needs::UPGRADES),
            Call::FlushKernelTables => Told::Needing(Needs::KERNEL_TABLES),
            Call::Flush | Call::Retire => Told::All,
        }
    }

    /// Leaf entries alone, or walk caches as well.
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    /// Whether it is worth while to promise the size of the leaf entries that changed, where it is known. Elsewhere the promise
    /// would be withheld from the hardware, or there are no entries to be sized.
    pub const fn size_counts(&self) -> bool {
        self.size_counts
    }

    /// Until when it may be put off.
    pub const fn put_off(&self) -> PutOff {
        self.put_off
    }

    /// Whether the entry has to be invalid for hardware from before the flush until after it (break-before-make).
    pub const fn needs_invalid_between(&self) -> bool {
        self.invalid_between
    }

    /// The description to pass to the call. `leaf_size` is the caller's word about the entries that changed, of before the change, as
    /// for [`Flush::leaf_size`].
    pub const fn flush(&self, pages: PageRange, leaf_size: Option<PageSize>) -> Flush {
        if matches!(self.call, Call::Retire) {
            return Flush::all();
        }
        let flush = match self.depth {
            Depth::Leaf => Flush::pages(pages).leaf_only(),
            Depth::Tables => Flush::pages(pages),
        };
        match leaf_size {
            Some(size) if self.size_counts => flush.leaf_size(size),
            _ => flush,
        }
    }

    /// The same, with the promise of a size of use whatever the depth.
    pub(crate) const fn sized(mut self) -> Self {
        self.size_counts = matches!(self.call, Call::Flush) || self.size_counts;
        self
    }

    /// The same, in one store.
    pub(crate) const fn in_place(mut self) -> Self {
        self.invalid_between = false;
        self
    }
}
