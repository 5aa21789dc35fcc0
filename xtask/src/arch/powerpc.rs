//! POWER: machines `powernv9` and `powernv10`, where the kernel is the firmware and the hypervisor, and machine `pseries`, where it
//! is a guest. No emulator has OpenCAPI: its rows are the model's.

use std::process::Command;

use tlb_shootdown_on_model::powerpc as on_model;
use tlb_shootdown_scenarios::Yardstick;

use super::description::{Architecture, Column, Demo, End, Ends, Loaded, Machine, Model};
use crate::setup::{qemu, rust_src};

pub(super) static POWERPC: Architecture = Architecture {
    name: "powerpc",
    target: rust_src::POWERPC,
    package: "on-target-powerpc",
    emulator: &qemu::POWERPC,
    machines: &[POWERNV9, POWERNV10, PSERIES],
    everywhere: true,
    devices: &[],
    pass,
    // QEMU ends with 1 also where it cannot even start.
    ends: Ends {
        well: End {
            status: 0,
            line: Some("end Well"),
        },
        panicked: End {
            status: 1,
            line: Some("end Panicked"),
        },
    },
    columns: &COLUMNS,
};

const POWERNV9: Machine = Machine {
    name: "powernv9",
    board: "powernv9",
    iommu: "none",
    device: None,
    remark: "",
    arguments: |_| Ok([&["-M", "powernv9"], BARE].concat()),
    cpus: CORES,
    loaded: Loaded::Firmware,
    demo: Some(Demo {
        model: Some(Model {
            remark: "a link that snoops, without registers",
            yardstick: on_model::SNOOPING_YARDSTICK,
            play: on_model::snooping_cells,
        }),
        beside: Some("OpenCAPI, snooping [model]"),
        ..demo(&Yardstick::POWER9_QEMU)
    }),
};

const POWERNV10: Machine = Machine {
    name: "powernv10",
    board: "powernv10",
    arguments: |_| Ok([&["-M", "powernv10"], BARE].concat()),
    demo: Some(Demo {
        model: Some(Model {
            remark: "a link with ATSD registers",
            yardstick: on_model::ATSD_YARDSTICK,
            play: on_model::atsd_cells,
        }),
        beside: Some("OpenCAPI, ATSD [model]"),
        ..demo(&Yardstick::POWER10_QEMU)
    }),
    ..POWERNV9
};

const PSERIES: Machine = Machine {
    name: "pseries",
    board: "pseries",
    remark: "a guest on POWER10 that may use TLBIE",
    arguments: |_| {
        Ok(vec![
            "-M",
            PSERIES_BOARD,
            "-nodefaults",
            "-vga",
            "none",
            "-action",
            "panic=exit-failure",
        ])
    },
    cpus: &["-cpu", "power10", "-smp", "4", "-m", "512"],
    loaded: Loaded::Elf,
    demo: Some(Demo {
        model: Some(Model {
            remark: "a guest on POWER10 that may use TLBIE",
            yardstick: on_model::GUEST_YARDSTICK,
            play: on_model::guest_cells,
        }),
        ..demo(&Yardstick::POWER10_QEMU)
    }),
    ..POWERNV10
};

/// A panic is a failure; and the flash for a firmware's parts holds nothing, as the kernel is the firmware and has none: without a word about it
/// QEMU looks for an image of Hostboot's, which distributions leave out, and warns.
const BARE: &[&str] = &[
    "-action",
    "panic=exit-failure",
    "-drive",
    "if=mtd,driver=null-co,size=134217728,read-zeroes=on",
];

/// The small firmware, which starts a kernel at once, above where that will move to; the interrupt controller that hypervisor calls
/// drive; none of the mitigations that TCG has not.
const PSERIES_BOARD: &str = "pseries,x-vof=on,kernel-addr=0x10000000,ic-mode=xics,cap-cfpc=broken,cap-ibs=broken,\
                             cap-ccf-assist=off";

/// One thread each: the machine counts threads by core. It asks for so much memory.
const CORES: &[&str] = &["-smp", "4,cores=4,threads=1", "-m", "1G"];

const fn demo(yardstick: &'static Yardstick) -> Demo {
    Demo {
        yardstick,
        model: None,
        beside: None,
    }
}

/// Where the kernel looks for its words; the same number stands in its `layout.rs`.
const WORDS: usize = 0x5f_f000;

/// The words are put into memory, eight bytes a loader, zeros behind them.
fn pass(command: &mut Command, words: &[&str]) {
    for (number, bytes) in words.join(" ").as_bytes().chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let (address, data) = (WORDS + 8 * number, u64::from_le_bytes(word));
        let loader = format!("loader,addr={address:#x},data={data:#x},data-len=8");
        command.args(["-device", &loader]);
    }
}

const COLUMNS: [Column; 5] = [
    Column {
        title: ["store", "barriers"],
        count: |cost| cost.store_barriers,
    },
    Column {
        title: ["TLBIEs,", "TLBIELs"],
        count: |cost| cost.invalidations,
    },
    Column {
        title: ["completion", "barriers"],
        count: |cost| cost.completion_barriers,
    },
    Column {
        title: ["", "IPIs"],
        count: |cost| cost.ipis,
    },
    Column {
        title: ["link", "commands"],
        count: |cost| cost.commands,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_in_memory_as_the_kernel_reads_them() {
        let mut command = Command::new("qemu");
        pass(&mut command, &["run_addr", "7"]);
        let words: Vec<_> = command.get_args().collect();
        // "run_addr" and " 7", the first byte lowest.
        assert_eq!(
            words,
            [
                "-device",
                "loader,addr=0x5ff000,data=0x726464615f6e7572,data-len=8",
                "-device",
                "loader,addr=0x5ff008,data=0x3720,data-len=8",
            ]
        );
    }
}
