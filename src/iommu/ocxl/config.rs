//! What the kernel decides.

use super::ids::{FunctionId, Pasid, Pid};

/// How what the nest MMU has cached is invalidated.
///
/// Firmware says which it is: a link whose device-tree node has no `ibm,mmio-atsd`, or whose register set it refuses to bind to the
/// partition (`opal_npu_map_lpar`), snoops. So do the links of POWER9; those of POWER10 have registers.
#[derive(Debug)]
pub enum Mode<M> {
    /// The nest MMU hears every `tlbie`. The link has no command to give: its flushes are the CPUs'.
    Snooping,
    /// By command, through this set of ATSD registers, which is this link's alone: a second link behind the same unit is given
    /// another set, or the two would answer for each other.
    Atsd(M),
}

/// How a link is to be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The nest MMU does not walk anew for an access that a cached entry forbids, and cannot be told to forget a right that it lacks
    /// while the entry in memory is valid: rights are widened by making the entry invalid, flushing, and setting it. So it is on
    /// POWER9; from ISA 3.1 on a nest MMU walks anew.
    pub breaks_upgrades: bool,
    /// The most pages that are invalidated one by one, each in an invalidation of its own and after the one before; more become the
    /// whole process.
    pub most_pages: u32,
    /// The page at address 0 is invalidated by its address. The OpenCAPI driver in Linux never does that; the NVLink driver of the
    /// same unit does. Without it such a flush is one of the whole process.
    pub page_zero_by_address: bool,
}

impl Config {
    /// POWER9, and whatever is not known to do better.
    pub const fn power9() -> Self {
        Self {
            breaks_upgrades: true,
            most_pages: 8,
            page_zero_by_address: false,
        }
    }

    /// ISA 3.1.
    pub const fn power10() -> Self {
        Self {
            breaks_upgrades: false,
            ..Self::power9()
        }
    }
}

/// Where in the devices of a link a process is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Context {
    /// Its process element. One PASID stands for one context on the whole link.
    pub pasid: Pasid,
    /// The function whose accelerator (AFU) uses it.
    pub function: FunctionId,
    /// The thread that the accelerator wakes (TIDR); 0 for none.
    pub thread: u32,
    /// The Authority Mask Register that its accesses are checked with.
    pub amr: u64,
}

/// A process as the nest MMU is to walk it: radix tables, which the partition's process table finds by PID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Process {
    /// Its PID, for as long as it is attached.
    pub pid: Pid,
    /// The partition that the kernel runs as (LPIDR).
    pub lpid: u32,
    /// Its addresses have 64 bits, not 32.
    pub wide: bool,
    /// LPCR.TC of the CPUs.
    pub tag_checks: bool,
}
