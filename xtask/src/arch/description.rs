//! What there is to know of an architecture and of the machines it is emulated on.

use std::process::Command;

use tlb_shootdown_on_model::Played;
use tlb_shootdown_scenarios::{Cost, Yardstick};

use crate::setup::Qemu;
use crate::setup::qemu::{Emulator, Feature};

/// An architecture with an on-target kernel: everything in which it differs from the others.
#[derive(Debug)]
pub(crate) struct Architecture {
    /// As options and reports name it.
    pub(crate) name: &'static str,
    /// The bare-metal target: rustc's name of it, or the path of a description.
    pub(crate) target: &'static str,
    /// The package of the kernel and its tests.
    pub(crate) package: &'static str,
    /// The QEMU that boots them.
    pub(crate) emulator: &'static Emulator,
    /// The machines they run on.
    pub(crate) machines: &'static [Machine],
    /// Whether tests that need no particular machine run on each of them; otherwise on the first.
    pub(crate) everywhere: bool,
    /// The devices that every machine has, each with what not every QEMU has of them.
    pub(crate) devices: &'static [(&'static str, Option<Feature>)],
    /// How words reach a kernel, `run_addr ADDRESS` among them.
    pub(crate) pass: fn(&mut Command, &[&str]),
    /// How a kernel ends QEMU.
    pub(crate) ends: Ends,
    /// The counters of a cost that the table shows.
    pub(crate) columns: &'static [Column],
}

/// How a kernel says that it has come to an end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// All is well.
    pub(crate) well: End,
    /// A panic.
    pub(crate) panicked: End,
}

/// One way to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The status of QEMU.
    pub(crate) status: i32,
    /// What the kernel's serial line says as well, where QEMU may end with that status by itself.
    pub(crate) line: Option<&'static str>,
}

/// An emulated machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// As options and reports name it: by what sets it apart from the others; tests whose binary is named after it run here.
    pub(crate) name: &'static str,
    /// QEMU's name of the board.
    pub(crate) board: &'static str,
    /// The IOMMU, as reports name it.
    pub(crate) iommu: &'static str,
    /// What the demo's table calls a device behind that IOMMU; `None` where no device shares page tables.
    pub(crate) device: Option<&'static str>,
    /// What of the IOMMU is used here, where the name alone does not tell.
    pub(crate) remark: &'static str,
    /// The board and its IOMMU as arguments of QEMU; an error says what this QEMU lacks.
    pub(crate) arguments: fn(&Qemu) -> Result<Vec<&'static str>, String>,
    /// The processors and the memory as arguments of QEMU.
    pub(crate) cpus: &'static [&'static str],
    /// How a kernel gets there.
    pub(crate) loaded: Loaded,
    /// What the demo has to show on it; `None` for a machine that only tests run on.
    pub(crate) demo: Option<Demo>,
}

/// How a kernel gets into the memory of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// QEMU or its firmware loads the ELF file.
    Elf,
    /// It is the firmware: a copy of memory from address 0 on.
    Firmware,
}

/// How the demo judges a machine.
#[derive(Debug)]
pub(crate) struct Demo {
    /// What holds of it.
    pub(crate) yardstick: &'static Yardstick,
    /// The software model of the same machine.
    pub(crate) model: Option<Model>,
    /// Where the model shows what the emulator's IOMMU has not: what the table calls a device there. Its rows stand beside the emulator's.
    pub(crate) beside: Option<&'static str>,
}

/// A machine of the software model.
#[derive(Debug)]
pub(crate) struct Model {
    /// As for [`Machine`].
    pub(crate) remark: &'static str,
    /// What holds of it.
    pub(crate) yardstick: &'static Yardstick,
    /// Plays every case to every observer.
    pub(crate) play: fn() -> Played,
}

/// A counter in the demo's table.
#[derive(Debug)]
pub(crate) struct Column {
    /// Its title in two lines, so that columns of small numbers stay narrow.
    pub(crate) title: [&'static str; 2],
    /// Reads it.
    pub(crate) count: fn(&Cost) -> u32,
}
