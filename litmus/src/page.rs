//! The pages that tests are about.

use tlb_shootdown::address::{PageSize, VirtAddr};

/// The size of all of them.
pub(crate) const SIZE: PageSize = PageSize::KIB_4;

/// One page: what herd7 calls its address, and the address that the library is given for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The name; its entry is `pte_` and the name, its frame `phy_` and the name.
    pub(crate) name: &'static str,
    /// The address as a number.
    pub(crate) address: u64,
}

impl Page {
    pub(crate) const X: Self = Self {
        name: "x",
        address: 0x40_0000,
    };
    /// Far from `X`.
    pub(crate) const Y: Self = Self {
        name: "y",
        address: 0x80_0000,
    };
    /// Right behind `X`.
    pub(crate) const NEXT: Self = Self {
        name: "y",
        address: 0x40_1000,
    };
    /// `X` under another ASID: to a TLB another page. The entry in memory is one, and two here.
    pub(crate) const ALIAS: Self = Self {
        name: "y",
        ..Self::X
    };
    /// No process has anything there.
    pub(crate) const NOBODYS: Self = Self {
        name: "z",
        address: 0,
    };
    /// In the kernel's half.
    pub(crate) const KERNEL: Self = Self {
        name: "x",
        address: 0xffff_8000_0040_0000,
    };

    pub(crate) const fn start(self) -> VirtAddr {
        VirtAddr::new(self.address)
    }

    /// The name of its entry.
    pub(crate) fn entry(self) -> String {
        format!("pte_{}", self.name)
    }

    /// An entry that is not valid.
    pub(crate) fn invalid(self) -> String {
        format!("(oa:phy_{},valid:0)", self.name)
    }

    /// A valid one that may be written through.
    pub(crate) fn writable(self) -> String {
        format!("(oa:phy_{},valid:1)", self.name)
    }

    /// A valid one that may be read through alone.
    pub(crate) fn read_only(self) -> String {
        format!("(oa:phy_{},valid:1,db:0)", self.name)
    }
}

/// A page under the ASID of its process; none in the kernel's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) page: Page,
    pub(crate) asid: Option<u64>,
}

impl Page {
    pub(crate) const fn under(self, asid: u64) -> Place {
        Place {
            page: self,
            asid: Some(asid),
        }
    }

    pub(crate) const fn of_kernel(self) -> Place {
        Place {
            page: self,
            asid: None,
        }
    }
}
