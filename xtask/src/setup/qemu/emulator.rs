//! Which programs of QEMU are used, and what each must be able to do.

/// One of QEMU's programs.
#[derive(Debug)]
pub(crate) struct Emulator {
    /// The program's name.
    pub(crate) program: &'static str,
    /// Debian's package with it.
    pub(super) package: &'static str,
    /// Without one of these it is of no use.
    pub(super) needed: &'static [Feature],
    /// For want of one of these another QEMU is fetched; where that is impossible, some tests or rows are left out.
    pub(super) wanted: &'static [Feature],
    /// What stands in for something wanted, in a QEMU that lacks it.
    pub(super) instead: &'static [Feature],
}

/// Something that not every QEMU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Machine `virt` with an SMMUv3.
    Smmuv3,
    /// The device `edu`, which reads and writes memory.
    Edu,
    /// The device `iommu-testdev` (QEMU 11).
    IommuTestdev,
    /// The device `isa-debug-exit`, by which a kernel ends QEMU.
    DebugExit,
    /// VT-d's first stage with PASIDs (QEMU 11).
    VtdFirstStage,
    /// VT-d's first stage under its experimental name (QEMU 10).
    VtdFirstStageExperimental,
    /// DMA remapping by the AMD IOMMU (QEMU 11).
    AmdRemapping,
    /// Machines `powernv9` and `powernv10`.
    PowerNv,
    /// Machine `pseries`. Its small firmware `x-vof` is no property that QEMU lists: it is as old as machine `powernv10`.
    Pseries,
}

impl Feature {
    /// What QEMU is asked.
    pub(super) fn question(self) -> &'static [&'static str] {
        match self {
            Self::Smmuv3 => &["-M", "virt,help"],
            Self::Edu | Self::IommuTestdev | Self::DebugExit => &["-device", "help"],
            Self::VtdFirstStage | Self::VtdFirstStageExperimental => {
                &["-device", "intel-iommu,help"]
            }
            Self::AmdRemapping => &["-device", "amd-iommu,help"],
            Self::PowerNv | Self::Pseries => &["-M", "help"],
        }
    }

    /// Whether a line of the answer names it.
    pub(super) fn is_named(self, line: &str) -> bool {
        let line = line.trim_start();
        match self {
            Self::Smmuv3 => line.starts_with("iommu=") && line.contains("smmuv3"),
            Self::Edu => line.contains("\"edu\""),
            Self::IommuTestdev => line.contains("\"iommu-testdev\""),
            Self::DebugExit => line.contains("\"isa-debug-exit\""),
            Self::VtdFirstStage => line.starts_with("fsts="),
            Self::VtdFirstStageExperimental => line.starts_with("x-flts="),
            Self::AmdRemapping => line.starts_with("dma-remap="),
            Self::PowerNv => line.starts_with("powernv10 "),
            Self::Pseries => line.starts_with("pseries "),
        }
    }
}

impl std::fmt::Display for Feature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Smmuv3 => "SMMUv3",
            Self::Edu => "edu",
            Self::IommuTestdev => "iommu-testdev",
            Self::DebugExit => "isa-debug-exit",
            Self::VtdFirstStage => "VT-d first stage",
            Self::VtdFirstStageExperimental => "experimental VT-d first stage",
            Self::AmdRemapping => "AMD DMA remapping",
            Self::PowerNv => "powernv10",
            Self::Pseries => "pseries",
        })
    }
}

/// QEMU for AArch64.
pub(crate) const AARCH64: Emulator = Emulator {
    program: "qemu-system-aarch64",
    package: "qemu-system-arm",
    needed: &[Feature::Smmuv3, Feature::Edu],
    wanted: &[Feature::IommuTestdev],
    instead: &[],
};

/// QEMU for x86-64.
pub(crate) const X86_64: Emulator = Emulator {
    program: "qemu-system-x86_64",
    package: "qemu-system-x86",
    needed: &[Feature::Edu, Feature::DebugExit],
    wanted: &[
        Feature::VtdFirstStage,
        Feature::AmdRemapping,
        Feature::IommuTestdev,
    ],
    instead: &[Feature::VtdFirstStageExperimental],
};

/// QEMU for POWER.
pub(crate) const POWERPC: Emulator = Emulator {
    program: "qemu-system-ppc64",
    package: "qemu-system-ppc",
    needed: &[Feature::PowerNv, Feature::Pseries],
    wanted: &[],
    instead: &[],
};

/// Every program that is used; they are fetched together, because they share nearly all that they depend on.
pub(crate) const EMULATORS: [&Emulator; 3] = [&AARCH64, &X86_64, &POWERPC];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_what_qemu_says_of_itself() {
        let named =
            |feature: Feature, answer: &str| answer.lines().any(|line| feature.is_named(line));
        let virt = "  highmem=<bool>       - Set on/off\n  iommu=<string>         - Valid values are none and smmuv3\n";
        assert!(named(Feature::Smmuv3, virt) && !named(Feature::Edu, virt));
        let devices = "name \"edu\", bus PCI\nname \"isa-debug-exit\", bus ISA\n";
        assert!(named(Feature::Edu, devices) && named(Feature::DebugExit, devices));
        assert!(!named(Feature::IommuTestdev, devices));
        let vtd_of_10 =
            "  x-flts=<bool>          - on/off (default: off)\n  x-scalable-mode=<bool>\n";
        let vtd_of_11 =
            "  fs1gp=<bool>           - on/off (default: on)\n  fsts=<bool>            - on/off\n";
        assert!(named(Feature::VtdFirstStageExperimental, vtd_of_10));
        assert!(!named(Feature::VtdFirstStage, vtd_of_10));
        assert!(named(Feature::VtdFirstStage, vtd_of_11));
        let amd_of_10 = "  dma-translation=<bool> - on/off (default: on)\n  xtsup=<bool>\n";
        assert!(!named(Feature::AmdRemapping, amd_of_10));
        assert!(named(
            Feature::AmdRemapping,
            "  dma-remap=<bool>       - on/off (default: off)\n"
        ));
    }
}
