//! The architectures that have an on-target kernel: one description each, and one table of them.

mod aarch64;
mod boot;
mod description;
mod ends;
mod flat;
mod powerpc;
mod x86_64;

use clap::builder::{PossibleValuesParser, TypedValueParser};

#[cfg(test)]
pub(crate) use description::End;
pub(crate) use description::{Architecture, Demo, Ends, Machine};

/// Every architecture, in the order in which they are shown.
pub(crate) static ALL: [&Architecture; 3] = [&aarch64::AARCH64, &x86_64::X86_64, &powerpc::POWERPC];

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

    /// The machine of this name.
    pub(crate) fn machine(&self, name: &str) -> Option<&'static Machine> {
        self.machines.iter().find(|machine| machine.name == name)
    }

    /// Where a test binary runs: names begin with the machine that they need, others need none in particular.
    pub(crate) fn machines_of_tests(&self, binary: &str) -> Vec<&'static Machine> {
        let named = binary.split('_').next().and_then(|word| self.machine(word));
        match named {
            Some(machine) => vec![machine],
            None if self.everywhere => self.machines.iter().collect(),
            None => self.machines.first().into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tlb_shootdown_scenarios::Observer;

    use super::*;
    use crate::setup::{Qemu, qemu, rust_src};

    #[test]
    fn setup_finds_what_every_architecture_needs() {
        for arch in ALL {
            assert!(rust_src::TARGETS.contains(&arch.target));
            let programs = qemu::EMULATORS.map(|emulator| emulator.program);
            assert!(programs.contains(&arch.emulator.program));
            assert_ne!(arch.ends.well.status, arch.ends.panicked.status);
            for machine in arch.machines {
                let observers = machine.demo.as_ref().map(|demo| demo.yardstick.observers);
                let has_device = observers.is_some_and(|all| all.contains(&Observer::Device));
                assert_eq!(has_device, machine.device.is_some(), "{}", machine.name);
            }
        }
    }

    #[test]
    fn test_binaries_run_where_their_names_say() {
        let places = |arch: &Architecture, binary: &str| {
            let machines = arch.machines_of_tests(binary).into_iter();
            machines.map(|machine| machine.name).collect::<Vec<_>>()
        };
        assert_eq!(places(ALL[0], "devices"), ["smmuv3"]);
        assert_eq!(places(ALL[1], "cpus"), ["none"]);
        assert_eq!(places(ALL[1], "vtd"), ["vtd"]);
        assert_eq!(places(ALL[1], "amd_domains"), ["amd"]);
        assert_eq!(places(ALL[2], "cpus"), ["powernv9", "powernv10", "pseries"]);
        assert_eq!(places(ALL[2], "powernv9_defects"), ["powernv9"]);
    }

    #[test]
    fn a_qemu_gets_the_properties_that_its_version_knows() {
        use qemu::Feature::{AmdRemapping, VtdFirstStage, VtdFirstStageExperimental};
        let arguments = |name: &str, features: &[qemu::Feature]| {
            let machine = ALL[1].machine(name).unwrap();
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
