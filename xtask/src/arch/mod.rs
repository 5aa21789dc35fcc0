//! The architectures that have an on-target kernel: one description each, and one table of them.

mod aarch64;
mod boot;
mod description;
mod x86_64;

use clap::builder::{PossibleValuesParser, TypedValueParser};

pub(crate) use description::{Architecture, Demo, Ends, Machine};

/// Every architecture, in the order in which they are shown.
pub(crate) static ALL: [&Architecture; 2] = [&aarch64::AARCH64, &x86_64::X86_64];

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{Qemu, qemu, rust_src};

    #[test]
    fn setup_finds_what_every_architecture_needs() {
        for arch in ALL {
            assert!(rust_src::TARGETS.contains(&arch.target));
            let programs = qemu::EMULATORS.map(|emulator| emulator.program);
            assert!(programs.contains(&arch.emulator.program));
            assert_ne!(arch.ends.well, arch.ends.panicked);
        }
    }

    #[test]
    fn test_binaries_run_where_their_names_say() {
        let place = |arch: &Architecture, binary: &str| {
            let machine = arch.machine_of_tests(binary);
            machine.map(|machine| machine.iommu)
        };
        assert_eq!(place(ALL[0], "devices"), Some("smmuv3"));
        assert_eq!(place(ALL[1], "cpus"), Some("none"));
        assert_eq!(place(ALL[1], "vtd"), Some("vtd"));
        assert_eq!(place(ALL[1], "amd_domains"), Some("amd"));
    }

    #[test]
    fn a_qemu_gets_the_properties_that_its_version_knows() {
        use qemu::Feature::{AmdRemapping, VtdFirstStage, VtdFirstStageExperimental};
        let arguments = |iommu: &str, features: &[qemu::Feature]| {
            let machine = ALL[1].machine_with(iommu).unwrap();
            (machine.arguments)(&Qemu::pretended(&qemu::X86_64, features))
        };
        let ends_in = |arguments: Result<Vec<&str>, String>, device: &str| {
            arguments.is_ok_and(|words| words.last() == Some(&device))
        };
        let vtd_11 = "intel-iommu,scalable-mode=on,fsts=on,pasid-bits=20";
        assert!(ends_in(arguments("vtd", &[VtdFirstStage]), vtd_11));
        let vtd_10 = "intel-iommu,x-scalable-mode=on,x-flts=on";
        let experimental = [VtdFirstStageExperimental];
        assert!(ends_in(arguments("vtd", &experimental), vtd_10));
        assert!(ends_in(
            arguments("amd", &[AmdRemapping]),
            "amd-iommu,dma-remap=on"
        ));
        let lacking = arguments("amd", &experimental).unwrap_err();
        assert!(lacking.starts_with("no DMA remapping by the AMD IOMMU"));
        assert!(arguments("none", &[]).is_ok());
    }
}
