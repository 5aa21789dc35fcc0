//! Booting a kernel on an emulated machine.

use std::path::Path;
use std::process::Command;

use super::description::{Architecture, Loaded, Machine};
use super::flat;
use crate::setup::Qemu;
use crate::setup::qemu::Feature;

/// The devices of machines with PCI and an IOMMU.
pub(super) const DMA_DEVICES: &[(&str, Option<Feature>)] = &[
    ("edu,dma_mask=0xffffffffffffffff", None),
    ("iommu-testdev", Some(Feature::IommuTestdev)),
];

/// Four CPUs with all that QEMU knows, and as much memory as any kernel here uses.
pub(super) const FOUR_CPUS: &[&str] = &["-cpu", "max", "-smp", "4", "-m", "512"];

/// What all machines have in common.
///
/// One host thread runs all four CPUs in turn: their order is then free of the host's load, and spinning CPUs that
/// yield cost nothing. Their clock counts instructions, 128 ns each: the 100 ms of a transfer pass in a blink, and no time
/// limit inside the kernel depends on the host.
const COMMON: [&str; 11] = [
    "-accel",
    "tcg,thread=single",
    "-icount",
    "shift=7,sleep=off",
    "-nographic",
    "-monitor",
    "none",
    "-serial",
    "stdio",
    "-net",
    "none",
];

impl Architecture {
    /// A command that boots `kernel` on `machine`, its serial line on standard output; `words` reach the kernel.
    ///
    /// # Errors
    /// What this QEMU lacks for that machine, or why the kernel cannot be given to it.
    pub(crate) fn boot(
        &self,
        machine: &Machine,
        qemu: &Qemu,
        kernel: &Path,
        words: &[&str],
    ) -> Result<Command, String> {
        let mut command = qemu.command();
        command.args((machine.arguments)(qemu)?);
        for (device, feature) in self.devices {
            if feature.is_none_or(|feature| qemu.has(feature)) {
                command.args(["-device", device]);
            }
        }
        (self.pass)(&mut command, words);
        command.args(machine.cpus).args(COMMON);
        match machine.loaded {
            Loaded::Elf => command.arg("-kernel").arg(kernel),
            Loaded::Firmware => {
                let image = flat::beside(kernel).map_err(|error| format!("{error:#}"))?;
                command.arg("-bios").arg(image)
            }
        };
        Ok(command)
    }
}
