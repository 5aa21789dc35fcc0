//! What every CPU and every IOMMU of one machine works on.

use crate::chooser::Chooser;
use crate::memory::Memory;
use crate::oracle::Oracle;
use alloc::collections::BTreeMap;

/// What CPUs and IOMMUs share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) memory: Memory,
    pub(crate) chooser: Chooser,
    pub(crate) oracle: Oracle,
    /// A POWER machine's process table: where the tree of each PID begins.
    pub(crate) processes: BTreeMap<u32, u64>,
}
