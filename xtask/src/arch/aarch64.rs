//! AArch64: machine `virt` with an SMMUv3.

use std::process::Command;

use tlb_shootdown_on_model::aarch64 as on_model;
use tlb_shootdown_scenarios::Yardstick;

use super::boot::{DMA_DEVICES, FOUR_CPUS};
use super::description::{Architecture, Column, Demo, End, Ends, Loaded, Machine, Model};
use crate::setup::{qemu, rust_src};

pub(super) static AARCH64: Architecture = Architecture {
    name: "aarch64",
    target: rust_src::AARCH64,
    package: "on-target-aarch64",
    emulator: &qemu::AARCH64,
    machines: &[VIRT],
    everywhere: false,
    devices: DMA_DEVICES,
    pass,
    ends: Ends {
        well: End {
            status: 0,
            line: None,
        },
        panicked: End {
            status: 134,
            line: None,
        },
    },
    columns: &COLUMNS,
};

const VIRT: Machine = Machine {
    name: "smmuv3",
    board: "virt",
    iommu: "smmuv3",
    device: Some("device"),
    remark: "",
    arguments: |_| Ok(vec!["-M", "virt,iommu=smmuv3"]),
    cpus: FOUR_CPUS,
    loaded: Loaded::Elf,
    demo: Some(Demo {
        yardstick: &Yardstick::AARCH64_SMMUV3_QEMU,
        model: Some(Model {
            remark: "",
            yardstick: on_model::YARDSTICK,
            play: on_model::cells,
        }),
        beside: None,
    }),
};

/// The words and the status go through semihosting.
fn pass(command: &mut Command, words: &[&str]) {
    let mut semihosting = "enable=on,target=native".to_owned();
    for word in words {
        semihosting.push_str(",arg=");
        semihosting.push_str(word);
    }
    command.args(["-semihosting-config", &semihosting]);
}

const COLUMNS: [Column; 6] = [
    Column {
        title: ["store", "barriers"],
        count: |cost| cost.store_barriers,
    },
    Column {
        title: ["", "TLBIs"],
        count: |cost| cost.invalidations,
    },
    Column {
        title: ["completion", "barriers"],
        count: |cost| cost.completion_barriers,
    },
    Column {
        title: ["SMMU", "commands"],
        count: |cost| cost.commands,
    },
    Column {
        title: ["", "CMD_SYNCs"],
        count: |cost| cost.syncs,
    },
    Column {
        title: ["", "doorbells"],
        count: |cost| cost.doorbells,
    },
];
