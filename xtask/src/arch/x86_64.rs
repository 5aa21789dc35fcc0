//! x86-64: machine `q35` behind VT-d, behind the AMD IOMMU, and without an IOMMU.

use std::process::Command;

use tlb_shootdown_on_model::x86_64 as on_model;
use tlb_shootdown_scenarios::Yardstick;

use super::boot::{DMA_DEVICES, FOUR_CPUS};
use super::description::{Architecture, Column, Demo, End, Ends, Loaded, Machine, Model};
use crate::setup::qemu::{self, Feature};
use crate::setup::{Qemu, rust_src};

pub(super) static X86_64: Architecture = Architecture {
    name: "x86_64",
    target: rust_src::X86_64,
    package: "on-target-x86_64",
    emulator: &qemu::X86_64,
    machines: &[PLAIN, VTD, AMD],
    everywhere: false,
    devices: DMA_DEVICES,
    pass,
    // `isa-debug-exit` makes an odd status of what is written to it: 0x10 and 0x11.
    ends: Ends {
        well: End {
            status: 0x10 << 1 | 1,
            line: None,
        },
        panicked: End {
            status: 0x11 << 1 | 1,
            line: None,
        },
    },
    columns: &COLUMNS,
};

const PLAIN: Machine = Machine {
    name: "none",
    board: "q35",
    iommu: "none",
    device: None,
    remark: "",
    arguments: |_| Ok(Vec::from(Q35)),
    cpus: FOUR_CPUS,
    loaded: Loaded::Elf,
    demo: None,
};

const VTD: Machine = Machine {
    name: "vtd",
    board: "q35",
    iommu: "vtd",
    device: Some("device behind VT-d"),
    remark: "first-stage translation, PASID-based invalidation",
    arguments: |qemu| {
        if qemu.has(Feature::VtdFirstStage) {
            Ok(with_iommu(
                "intel-iommu,scalable-mode=on,fsts=on,pasid-bits=20",
            ))
        } else if qemu.has(Feature::VtdFirstStageExperimental) {
            Ok(with_iommu("intel-iommu,x-scalable-mode=on,x-flts=on"))
        } else {
            Err(lacking(qemu, "first-stage translation by VT-d", "10"))
        }
    },
    cpus: FOUR_CPUS,
    loaded: Loaded::Elf,
    demo: Some(Demo {
        yardstick: &Yardstick::X86_64_VTD_QEMU,
        model: Some(Model {
            remark: "first-stage translation, PASID-based invalidation",
            yardstick: on_model::VTD_YARDSTICK,
            play: on_model::vtd_cells,
        }),
        beside: None,
    }),
};

const AMD: Machine = Machine {
    name: "amd",
    board: "q35",
    iommu: "amd",
    device: Some("device behind AMD"),
    remark: "v1 tables, invalidation by domain",
    arguments: |qemu| {
        if qemu.has(Feature::AmdRemapping) {
            Ok(with_iommu("amd-iommu,dma-remap=on"))
        } else {
            Err(lacking(qemu, "DMA remapping by the AMD IOMMU", "11"))
        }
    },
    cpus: FOUR_CPUS,
    loaded: Loaded::Elf,
    demo: Some(Demo {
        yardstick: &Yardstick::X86_64_AMD_QEMU,
        model: Some(Model {
            remark: "the process's own table, invalidation by PASID",
            yardstick: on_model::AMD_YARDSTICK,
            play: on_model::amd_cells,
        }),
        beside: Some("PASID behind AMD [model]"),
    }),
};

/// The board, with the firmware that knows how to start a PVH kernel and little else, and the device that ends QEMU.
const Q35: [&str; 7] = [
    "-M",
    "q35",
    "-bios",
    "qboot.rom",
    // A triple fault ends QEMU, with a status that no kernel chooses.
    "-no-reboot",
    "-device",
    "isa-debug-exit,iobase=0xf4,iosize=4",
];

fn with_iommu(device: &'static str) -> Vec<&'static str> {
    [&Q35[..], &["-device", device]].concat()
}

fn lacking(qemu: &Qemu, what: &str, since: &str) -> String {
    format!("no {what}, which QEMU has from version {since} on: {qemu}")
}

/// The words are the kernel's command line.
fn pass(command: &mut Command, words: &[&str]) {
    if !words.is_empty() {
        command.args(["-append", &words.join(" ")]);
    }
}

const COLUMNS: [Column; 6] = [
    Column {
        title: ["store", "barriers"],
        count: |cost| cost.store_barriers,
    },
    Column {
        title: ["local in-", "validations"],
        count: |cost| cost.invalidations,
    },
    Column {
        title: ["", "IPIs"],
        count: |cost| cost.ipis,
    },
    Column {
        title: ["IOMMU", "commands"],
        count: |cost| cost.commands,
    },
    Column {
        title: ["", "waits"],
        count: |cost| cost.syncs,
    },
    Column {
        title: ["", "doorbells"],
        count: |cost| cost.doorbells,
    },
];
