//! Which files are examined, and which test programs see each.

/// Files whose mutants are tried together.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// The folder of the library that they lie in.
    folder: &'static str,
    /// Their paths below it, without the ending.
    files: &'static [&'static str],
    /// What cargo is to build and run for each mutant.
    pub(super) tests: &'static [&'static str],
    /// The same for those that all of these leave: programs that take long to build.
    pub(super) rest: &'static [&'static str],
}

impl Group {
    /// Paths from the root of the checkout.
    pub(super) fn paths(&self) -> impl Iterator<Item = String> {
        let files = self.files.iter();
        files.map(|file| format!("src/{}{file}.rs", self.folder))
    }
}

/// Tried where there is little time: what all rings share.
pub(crate) const SHORT: &str = "rings";

pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: SHORT,
        folder: "iommu/",
        files: &["ring", "block", "pending", "memory", "device_bit", "spaces"],
        tests: &["--lib"],
        rest: &[],
    },
    Group {
        name: "amd-encoders",
        folder: "iommu/amd/",
        files: &[
            "command",
            "event",
            "registers",
            "features",
            "device_table",
            "gcr3",
            "span",
            "ids",
            "config",
        ],
        tests: &["--lib", "--test=amd"],
        rest: &[],
    },
    Group {
        name: "amd-ring",
        folder: "iommu/amd/",
        files: &["queue", "submit", "seal", "wait", "stages", "deferred"],
        tests: &["--test=amd"],
        rest: &["--test=amd_on_model"],
    },
    Group {
        name: "smmuv3-encoders",
        folder: "iommu/smmuv3/",
        files: &[
            "command",
            "event",
            "registers",
            "stream_table",
            "context",
            "range",
            "span",
            "features",
            "ids",
            "config",
            "atc",
        ],
        tests: &["--lib", "--test=smmuv3"],
        rest: &[],
    },
    Group {
        name: "smmuv3-ring",
        folder: "iommu/smmuv3/",
        files: &["queue", "submit", "seal", "wait"],
        tests: &["--test=smmuv3"],
        rest: &["--test=smmuv3_on_model"],
    },
    Group {
        name: "vtd-encoders",
        folder: "iommu/vtd/",
        files: &[
            "command",
            "registers",
            "root_table",
            "context_entry",
            "pasid_table",
            "second_stage",
            "span",
            "features",
            "tag",
            "ids",
            "config",
        ],
        tests: &["--lib", "--test=vtd"],
        rest: &[],
    },
    Group {
        name: "vtd-ring",
        folder: "iommu/vtd/",
        files: &["queue", "submit", "seal", "wait", "drain"],
        tests: &["--test=vtd"],
        rest: &["--test=vtd_on_model"],
    },
    Group {
        name: "ocxl-encoders",
        folder: "iommu/ocxl/",
        files: &[
            "command",
            "registers",
            "spa",
            "process_element",
            "plan",
            "ids",
            "config",
        ],
        tests: &["--lib", "--test=ocxl"],
        rest: &[],
    },
    Group {
        name: "ocxl-ring",
        folder: "iommu/ocxl/",
        files: &["queue", "requests"],
        tests: &["--lib", "--test=ocxl"],
        rest: &["--test=ocxl_on_model"],
    },
    Group {
        name: "aarch64-encoders",
        folder: "arch/aarch64/",
        files: &[
            "operand",
            "operation",
            "range",
            "range/bounded",
            "granule",
            "features",
            "config",
        ],
        tests: &["--lib", "--test=aarch64"],
        rest: &[],
    },
    Group {
        name: "aarch64-sequences",
        folder: "arch/aarch64/",
        files: &["sequences", "issue", "errata", "change"],
        tests: &["--test=aarch64", "--test=change", "--test=golden_costs"],
        rest: &[],
    },
    Group {
        name: "powerpc-encoders",
        folder: "arch/powerpc/",
        files: &["operand", "hcall", "plan", "partition", "isa", "config"],
        tests: &["--lib", "--test=powerpc"],
        rest: &[],
    },
    Group {
        name: "powerpc-sequences",
        folder: "arch/powerpc/",
        files: &[
            "sequences",
            "issue",
            "completion",
            "errata",
            "hypervisor",
            "change",
        ],
        tests: &["--test=powerpc", "--test=change", "--test=golden_costs"],
        rest: &[],
    },
    Group {
        name: "x86_64-encoders",
        folder: "arch/x86_64/",
        files: &[
            "operand/cr3",
            "operand/invlpgb",
            "operand/invpcid",
            "operand/pcid",
            "operand/run",
            "registers",
            "features",
            "config",
        ],
        tests: &["--lib", "--test=x86_64"],
        rest: &[],
    },
    Group {
        name: "x86_64-sequences",
        folder: "arch/x86_64/",
        files: &[
            "sequences",
            "broadcast",
            "local",
            "kernel",
            "catch_up",
            "own",
            "kpti",
            "change",
        ],
        tests: &["--test=x86_64", "--test=change", "--test=golden_costs"],
        rest: &[],
    },
    Group {
        name: "mailbox",
        folder: "",
        files: &["mailbox", "mailbox/request", "mailbox/slot"],
        tests: &["--lib", "--test=x86_64", "--test=promise_05_lossless"],
        rest: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn every_file_is_there_and_in_one_group() {
        let mut paths: Vec<_> = GROUPS.iter().flat_map(Group::paths).collect();
        for path in &paths {
            assert!(workspace::root().join(path).is_file(), "{path}");
        }
        let all = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), all);
    }

    #[test]
    fn the_short_one_is_there() {
        assert!(GROUPS.iter().any(|group| group.name == SHORT));
    }
}
