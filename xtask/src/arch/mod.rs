//! The architectures that have an on-target kernel: one description each, and one table of them.

mod aarch64;
mod boot;
mod description;

use clap::builder::{PossibleValuesParser, TypedValueParser};

pub(crate) use description::{Architecture, Demo, Ends, Machine};

/// Every architecture, in the order in which they are shown.
pub(crate) static ALL: [&Architecture; 1] = [&aarch64::AARCH64];

/// Reads the name of an architecture on the command line.
pub(crate) fn parser() -> impl TypedValueParser<Value = &'static Architecture> {
    PossibleValuesParser::new(ALL.map(|arch| arch.name)).try_map(|name| {
        let named = ALL.into_iter().find(|arch| arch.name == name);
        named.ok_or("no such architecture")
    })
}

impl Architecture {
    /// The machines that the demo has something to show on.
    pub(crate) fn demos(&self) -> impl Iterator<Item = (&'static Machine, &'static Demo)> {
        let machines = self.machines.iter();
        machines.filter_map(|machine| Some((machine, machine.demo.as_ref()?)))
    }

    /// The machine with this IOMMU.
    pub(crate) fn machine_with(&self, iommu: &str) -> Option<&'static Machine> {
        self.machines.iter().find(|machine| machine.iommu == iommu)
    }

    /// Where a test binary runs: names begin with the IOMMU that they need, others need none in particular.
    pub(crate) fn machine_of_tests(&self, binary: &str) -> Option<&'static Machine> {
        let named = binary
            .split('_')
            .next()
            .and_then(|word| self.machine_with(word));
        named.or(self.machines.first())
    }
}
