//! What a link of the model can be asked to be.

/// How a link is told what to forget, and which liberties its nest MMU takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkOptions {
    /// The nest MMU hears every `tlbie`, and the link has no registers. Without it there are registers, and `tlbie` passes by.
    pub snoops: bool,
    /// Page-walk caches keep the last level as well: an invalidation of a whole process that leaves them leaves every translation
    /// (POWER9; Linux' `mm_needs_flush_escalation`).
    pub walk_caches_keep_pages: bool,
    /// A cached entry that does not allow a write is not walked again, however often the device asks, and rights that are widened
    /// while it is cached are never seen (POWER9; Linux' `radix__ptep_set_access_flags`).
    pub believes_its_rights: bool,
    /// The last level of the trees maps 64 KiB.
    pub pages_64k: bool,
    /// Polls for which an accelerator is busy with a termination.
    pub termination_polls: u32,
}

impl LinkOptions {
    /// A POWER9, commanded through its registers.
    pub const POWER9: Self = Self {
        snoops: false,
        walk_caches_keep_pages: true,
        believes_its_rights: true,
        pages_64k: false,
        termination_polls: 2,
    };
    /// The same of ISA 3.1.
    pub const POWER10: Self = Self {
        walk_caches_keep_pages: false,
        believes_its_rights: false,
        ..Self::POWER9
    };

    /// The same, hearing the CPUs instead.
    pub const fn snooping(self) -> Self {
        Self {
            snoops: true,
            ..self
        }
    }
}
