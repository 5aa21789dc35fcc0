//! The words of the table.

use serde::{Deserialize, Serialize};

/// What happens to the translation between the observer's two accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// Read-only becomes writable; the observer then writes.
    Upgrade,
    /// Writable becomes read-only; the observer then writes.
    Downgrade,
    /// The page is unmapped; the observer then reads.
    Unmap,
    /// The page is mapped to another frame (copy-on-write break); the observer then reads.
    Remap,
    /// Several adjacent pages are unmapped; the observer then reads each.
    Range,
    /// Scattered pages are unmapped and the whole space is flushed by its id; the observer then reads each.
    Space,
    /// Scattered pages are unmapped by one operation, which flushes them at its end; the observer then reads each.
    Gather,
    /// Scattered pages are taken from two processes and flushed in one batch; the observer then reads each.
    Reclaim,
    /// A large page is replaced by a table of small ones, of which one was moved to another frame; the observer then reads that one
    /// and one that was not.
    Split,
}

impl Case {
    /// Every case, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Upgrade,
        Self::Downgrade,
        Self::Unmap,
        Self::Remap,
        Self::Range,
        Self::Space,
        Self::Gather,
        Self::Reclaim,
        Self::Split,
    ];
}

/// Who uses the translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observer {
    /// The CPU that changes the page table and flushes.
    ThisCpu,
    /// Another CPU that runs the same address space.
    OtherCpu,
    /// A device that walks the same page table through an IOMMU.
    Device,
}

impl Observer {
    /// Every observer, in the order of the table.
    pub const ALL: [Self; 3] = [Self::ThisCpu, Self::OtherCpu, Self::Device];

    /// Those of a machine without a device.
    pub const CPUS: &'static [Self] = &[Self::ThisCpu, Self::OtherCpu];
}

/// What the observer saw after the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The old translation or right was used.
    Stale,
    /// Refused although the new table allows it.
    Fault,
    /// As the new table says, a refusal included.
    Fresh,
    /// This emulator cannot show it: on the fixed list of the machine's [`Yardstick`](crate::Yardstick).
    Unseen,
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// No translation (CPU: translation fault; SMMU: F_TRANSLATION, 0x10; VT-d: 71h).
    Translation,
    /// A translation without the right (CPU: permission fault; SMMU: F_PERMISSION, 0x13; VT-d: 85h).
    Permission,
    /// Nobody said: the access had no effect, and no record says why. Right only where the machine's
    /// [`Yardstick`](crate::Yardstick) allows it.
    Unreported,
    /// Anything else: never what a case expects.
    Other,
}
