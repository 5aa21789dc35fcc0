//! The rule that holds on every machine, with what it corrects.
//!
//! Where it asks for more than Linux does (6.6 to 7.1):
//!
//! * An upgrade tells secondary TLBs. On x86-64 and POWER, Linux' fault-time upgrade tells nobody, nor does POWER's mprotect.
//! * Every flush tells secondary TLBs. POWER's page-sized flushes (copy on write, migration, cleaning) and its collapse do not.
//! * An unshared table drops walk caches. Linux kept them on AArch64 until 2026, and skips lazy CPUs on x86-64.
//! * Freed kernel tables tell IOMMUs that walk a root which both halves share. Linux did not on x86-64 until 6.19.
//!
//! Where it asks for less: a split, moved entries and device migration change leaf entries alone, and keep walk caches.

use super::decision::{Call, Decision, PutOff};
use super::reason::Reason;
use crate::flush::Depth;

pub(super) const fn on_any_machine(reason: Reason) -> Decision {
    match reason {
        Reason::Unmap => leaves(PutOff::UntilReuse),
        // A write through an old entry after the I/O has read the page is lost.
        Reason::UnmapDirty | Reason::DirtyCleared => leaves(PutOff::UntilRead),
        Reason::Downgrade | Reason::ProtectionKey => leaves(PutOff::UntilSpaceUnlocked),
        // Nothing is stale to anybody's harm meanwhile; but whoever faults finds the entry right and tries again, until the flush.
        Reason::Upgrade => by(Call::Upgrade, leaves(PutOff::UntilSpaceUnlocked)),
        Reason::SpuriousFault => by(Call::FixSpuriousFault, leaves(PutOff::No)),
        Reason::AccessedCleared | Reason::LargeAccessedCleared => leaves(PutOff::Freely),
        // With the old and the new page both in use a store to one is not seen through the other, whatever the machine allows.
        Reason::Replaced | Reason::MemoryType | Reason::Split | Reason::ContiguousHint => {
            invalid_between(leaves(PutOff::No))
        }
        Reason::Migration => invalid_between(leaves(PutOff::UntilRead)),
        Reason::DeviceMigration => invalid_between(leaves(PutOff::UntilTableUnlocked)),
        // Once the lock is dropped others look for the pages at their new address, and there alone (Linux eb66ae030829).
        Reason::EntriesMoved => leaves(PutOff::UntilTableUnlocked),
        Reason::TableMoved | Reason::TableUnshared => tables(PutOff::UntilTableUnlocked),
        Reason::TableFreed => tables(PutOff::UntilReuse),
        Reason::Collapse => invalid_between(tables(PutOff::No)),
        Reason::SpaceExit => by(Call::Retire, tables(PutOff::UntilReuse)),
        Reason::KernelMapping => by(Call::FlushKernel, leaves(PutOff::UntilReuse)),
        Reason::KernelRights => by(Call::FlushKernel, leaves(PutOff::No)),
        Reason::KernelTableFreed => by(Call::FlushKernelTables, tables(PutOff::UntilReuse)),
    }
}

const fn leaves(put_off: PutOff) -> Decision {
    Decision {
        call: Call::Flush,
        depth: Depth::Leaf,
        size_counts: true,
        put_off,
        invalid_between: false,
    }
}

/// A size is no hint once tables are concerned: it would name the leaves alone.
const fn tables(put_off: PutOff) -> Decision {
    Decision {
        depth: Depth::Tables,
        size_counts: false,
        ..leaves(put_off)
    }
}

const fn by(call: Call, decision: Decision) -> Decision {
    Decision { call, ..decision }
}

const fn invalid_between(decision: Decision) -> Decision {
    Decision {
        invalid_between: true,
        ..decision
    }
}
