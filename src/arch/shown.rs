//! What each CPU has loaded, for the others to see; for the architectures whose CPUs are asked.

use crate::space_id::SpaceId;
use crate::sync::{AtomicU32, AtomicU64, Ordering, const_unless_loom, order_seq_cst};

/// What a CPU has loaded: a space's number, with bit 63 where it runs under an identifier that all CPUs share; 0 for a root of the
/// kernel's own; all ones while it switches. Numbers of spaces are below 2^62.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::arch) struct Loaded(u64);

impl Loaded {
    pub(in crate::arch) const KERNEL: Self = Self(0);
    pub(in crate::arch) const SWITCHING: Self = Self(u64::MAX);
    const GLOBAL: u64 = 1 << 63;

    pub(in crate::arch) const fn raw(self) -> u64 {
        self.0
    }

    pub(in crate::arch) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(in crate::arch) const fn own(space: SpaceId) -> Self {
        Self(space.raw())
    }

    pub(in crate::arch) const fn global(space: SpaceId) -> Self {
        Self(space.raw() | Self::GLOBAL)
    }

    pub(in crate::arch) const fn is_switching(self) -> bool {
        self.0 == Self::SWITCHING.0
    }

    /// Never true while the CPU switches.
    pub(in crate::arch) const fn is_of(self, space: SpaceId) -> bool {
        self.0 & !Self::GLOBAL == space.raw()
    }

    pub(in crate::arch) const fn is_global(self) -> bool {
        self.0 & Self::GLOBAL != 0
    }
}

/// What initiators read of a CPU. Written by that CPU alone.
#[derive(Debug)]
#[repr(align(64))]
pub(in crate::arch) struct Shown {
    loaded: AtomicU64,
    lazy: AtomicU32,
}

impl Shown {
    const_unless_loom! {
        pub(in crate::arch) const fn new() -> Self {
            Self { loaded: AtomicU64::new(Loaded::KERNEL.0), lazy: AtomicU32::new(0) }
        }
    }

    /// What is loaded. SeqCst: whoever has raised a generation and then sees no switch here knows that the switch, which shows itself and
    /// then reads the generation, finds it raised.
    pub(in crate::arch) fn loaded(&self) -> Loaded {
        order_seq_cst();
        Loaded(self.loaded.load(Ordering::SeqCst))
    }

    /// Read after [`loaded`](Self::loaded): a CPU shows that it switches before it stops being lazy, and what it has loaded
    /// after that, so whoever sees the new root does not see the old laziness.
    pub(in crate::arch) fn is_lazy(&self) -> bool {
        self.lazy.load(Ordering::Acquire) != 0
    }

    /// From here on this CPU may have any root loaded.
    pub(in crate::arch) fn begin_switch(&self) {
        self.loaded.store(Loaded::SWITCHING.0, Ordering::SeqCst);
        order_seq_cst();
        self.lazy.store(0, Ordering::Release);
    }

    /// Release: the root was loaded before this is seen.
    pub(in crate::arch) fn end_switch(&self, loaded: Loaded) {
        self.loaded.store(loaded.0, Ordering::Release);
    }

    pub(in crate::arch) fn set_lazy(&self, lazy: bool) {
        self.lazy.store(u32::from(lazy), Ordering::Release);
    }
}
