//! The columns: what stands beside the CPUs.

use tlb_shootdown_model::ocxl::LinkOptions;

/// One column of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// No device.
    Alone,
    Smmuv3,
    Vtd,
    Amd,
    Ocxl,
}

/// What stands beside the CPUs, of the kinds that a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    Smmu,
    /// One that follows the CPUs' broadcasts, which its device's own TLB does not.
    SnoopingSmmu,
    Vtd,
    Amd,
    Link(LinkOptions),
}

impl Beside {
    /// The kinds of a column beside CPUs whose broadcasts it cannot hear.
    pub(crate) fn of(column: Column) -> Vec<Self> {
        match column {
            Column::Alone => vec![Self::Nothing],
            Column::Smmuv3 => vec![Self::Smmu],
            Column::Vtd => vec![Self::Vtd],
            Column::Amd => vec![Self::Amd],
            Column::Ocxl => vec![
                Self::Link(LinkOptions::POWER9),
                Self::Link(LinkOptions::POWER10),
            ],
        }
    }

    /// It follows the CPUs' broadcasts.
    pub(crate) fn snoops(self) -> bool {
        self == Self::SnoopingSmmu || self.hears_everything()
    }

    /// A device that is told by the CPUs' broadcasts alone, and so of whatever CPUs are.
    pub(crate) fn hears_everything(self) -> bool {
        matches!(self, Self::Link(options) if options.snoops)
    }

    /// Rights are not to be widened in place under it, whatever is flushed.
    pub(crate) fn believes_its_rights(self) -> bool {
        matches!(self, Self::Link(options) if options.believes_its_rights)
    }
}
