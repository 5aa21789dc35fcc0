//! What the harness wants of an IOMMU or a link, and of the device behind it.

use super::format::Format;
use super::{amd, column::Beside, ocxl, smmuv3, vtd};
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::Model;

/// A secondary TLB with one device, in which each process has a context of its own, numbered from 1.
pub(crate) trait Iommu {
    fn tlb(&self) -> &'static dyn SecondaryTlb;

    /// Takes a place for a process; its device cannot walk yet.
    fn reserve(&self, context: u32, table: Table) -> AttachKey;

    /// Lets the device walk.
    fn install(&self, key: AttachKey);

    /// What the device finds at an address, or how it was refused.
    fn read(&self, context: u32, va: u64) -> Result<u64, String>;

    fn write(&self, context: u32, va: u64, value: u64) -> Result<(), String>;

    /// How many entries it holds, its device's own included.
    fn held(&self) -> usize;

    /// The process is about to end.
    fn ends(&self, context: u32) {
        let _ = context;
    }
}

/// A table that a device is to walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) root: u64,
    /// The CPUs' identifier, where it is the CPUs' table.
    pub(crate) id: Option<u32>,
}

/// The format that the column's walkers read.
pub(crate) fn format(beside: Beside) -> Option<Format> {
    match beside {
        Beside::Nothing => None,
        Beside::Smmu | Beside::SnoopingSmmu => Some(Format::Vmsa),
        Beside::Vtd | Beside::Amd => Some(Format::X86),
        Beside::Link(_) => Some(Format::Radix),
    }
}

/// Whether devices walk a root that has the kernel's half as well, where they walk the CPUs'.
pub(crate) fn meets_kernel(beside: Beside, cpus: Format) -> bool {
    cpus == Format::X86 && format(beside) == Some(Format::X86)
}

/// Adds it to the machine, and starts it.
pub(crate) fn start(beside: Beside, model: &Model, cpus: Format) -> Option<Box<dyn Iommu>> {
    let kernel_tables = meets_kernel(beside, cpus);
    Some(match beside {
        Beside::Nothing => return None,
        Beside::Smmu => Box::new(smmuv3::Smmuv3::new(model, false)),
        Beside::SnoopingSmmu => Box::new(smmuv3::Smmuv3::new(model, true)),
        Beside::Vtd => Box::new(vtd::VtdUnit::new(model, kernel_tables)),
        Beside::Amd => Box::new(amd::AmdIommu::new(model, kernel_tables)),
        Beside::Link(options) => Box::new(ocxl::OpenCapi::new(model, options)),
    })
}

/// A caller's patience, in turns.
pub(crate) fn patience() -> impl FnMut() -> bool {
    let mut left = 100_000;
    move || {
        left -= 1;
        left > 0
    }
}
