//! What the kernel has decided about its translation tables and about flushing.

use super::hypervisor::Hypervisor;
use super::isa::Isa;
use super::operand::Page;
use crate::address::{PageRange, PageSize, RangeError};
use crate::arch::Half;
use core::fmt;

/// Half of the 20 bits' worth that machines have so far: half a million processes at once, in a bitmap that lets the engine of 256 CPUs fit
/// into 512 KiB.
pub(super) const MAX_PID_BITS: u32 = 19;

/// How the kernel may invalidate on other CPUs.
#[derive(Clone, Copy)]
pub(super) enum Privilege {
    /// MSR.HV = 1.
    Hypervisor,
    /// A guest with LPCR.GTSE = 1.
    Guest,
    /// A guest with LPCR.GTSE = 0: `tlbiel` is its own, everything else the hypervisor's.
    WithoutTlbie(&'static dyn Hypervisor),
}

impl fmt::Debug for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hypervisor => "Hypervisor",
            Self::Guest => "Guest",
            Self::WithoutTlbie(_) => "WithoutTlbie",
        })
    }
}

/// The kernel's choices. They hold for all CPUs and do not change while the engine runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    privilege: Privilege,
    base_page: PageSize,
    pid_bits: u32,
    isa: Option<Isa>,
    ceilings: Ceilings,
    patience: u64,
}

/// The largest number of pages that are invalidated one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceilings {
    pub(super) broadcast: u64,
    pub(super) local: u64,
}

impl Config {
    /// A kernel that is the hypervisor, or has the machine to itself: MSR.HV = 1, its own mappings under LPID 0 and PID 0.
    pub const fn hypervisor() -> Self {
        Self::with(Privilege::Hypervisor)
    }

    /// A guest that may broadcast: LPCR.GTSE = 1, which it asked for when it registered its process table.
    pub const fn guest() -> Self {
        Self::with(Privilege::Guest)
    }

    /// A guest that may not (LPCR.GTSE = 0): what other CPUs hold is invalidated by the hypervisor.
    pub const fn guest_without_tlbie(hypervisor: &'static dyn Hypervisor) -> Self {
        Self::with(Privilege::WithoutTlbie(hypervisor))
    }

    /// Pages of 4 KiB, PIDs of 19 bits, an ISA level as the PVR says, a flush by PID beyond 33 pages everywhere and 256 here.
    const fn with(privilege: Privilege) -> Self {
        Self {
            privilege,
            base_page: PageSize::KIB_4,
            pid_bits: MAX_PID_BITS,
            isa: None,
            ceilings: Ceilings {
                broadcast: 33,
                local: 256,
            },
            patience: 2,
        }
    }

    /// The last level of the tables maps pages of 64 KiB.
    pub const fn base_page_64k(mut self) -> Self {
        self.base_page = PageSize::KIB_64;
        self
    }

    /// How many bits a PID has, 1 to 19: `ibm,mmu-pid-bits` of the device tree (20 so far), or fewer.
    pub const fn pid_bits(mut self, bits: u32) -> Self {
        self.pid_bits = match bits {
            0 => 1,
            1..=MAX_PID_BITS => bits,
            _ => MAX_PID_BITS,
        };
        self
    }

    /// The level that the CPUs really offer, where the PVR does not tell it: a guest in a compatibility mode, a CPU newer than
    /// this crate.
    pub const fn isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// The largest numbers of pages that are invalidated one by one, by broadcast and on this CPU alone; more are a flush by PID.
    /// The defaults, 33 and 256, are Linux'.
    pub const fn page_ceilings(mut self, broadcast: u64, local: u64) -> Self {
        self.ceilings = Ceilings { broadcast, local };
        self
    }

    /// After how many broadcasts in a row that met no other CPU running the process its former CPUs are asked, by one interrupt, to
    /// drop what they hold of it, so that later flushes are local. At least 1; the default, 2, lets the first be a coincidence.
    pub const fn ask_after(mut self, broadcasts: u64) -> Self {
        self.patience = broadcasts;
        self
    }

    pub(super) const fn privilege(&self) -> Privilege {
        self.privilege
    }

    pub(super) const fn is_hypervisor(&self) -> bool {
        matches!(self.privilege, Privilege::Hypervisor)
    }

    /// Whether it may find itself on another CPU one day.
    pub(super) const fn may_migrate(&self) -> bool {
        !self.is_hypervisor()
    }

    pub(super) const fn base_page(&self) -> PageSize {
        self.base_page
    }

    pub(super) const fn pid_width(&self) -> u32 {
        self.pid_bits
    }

    pub(super) const fn stated_isa(&self) -> Option<Isa> {
        self.isa
    }

    pub(super) const fn ceilings(&self) -> Ceilings {
        self.ceilings
    }

    pub(super) const fn broadcasts_before_asking(&self) -> u64 {
        self.patience
    }

    /// Radix translates 52 bits of an effective address; bits 0:1 name the quadrant, of which the first is the process's and the last the
    /// kernel's (ISA 3.0B and 3.1B, Book III 6.7.10, "Radix tree translation").
    pub(super) const fn check_range(
        &self,
        half: Half,
        pages: &PageRange,
    ) -> Result<(), RangeError> {
        let quadrant = match half {
            Half::User => 0,
            Half::Kernel => 0xc00,
        };
        let first = pages.first().raw() >> 52;
        let last = pages.last_byte().raw() >> 52;
        if first == quadrant && last == quadrant {
            Ok(())
        } else {
            Err(RangeError::NonCanonical)
        }
    }

    pub(super) fn check_leaf_size(&self, size: PageSize) -> Result<(), RangeError> {
        let is_last_level = size == PageSize::KIB_4 || size == PageSize::KIB_64;
        if Page::of(size).is_none() || is_last_level && size != self.base_page {
            return Err(RangeError::UnsupportedSize);
        }
        Ok(())
    }
}
