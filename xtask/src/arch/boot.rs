//! Booting a kernel on an emulated machine.

use std::path::Path;
use std::process::Command;

use super::description::{Architecture, Machine};
use crate::setup::Qemu;
use crate::setup::qemu::Feature;

/// What all machines have in common.
///
/// One host thread runs all four CPUs in turn: their order is then free of the host's load, and spinning CPUs that
/// yield cost nothing. Their clock counts instructions, 128 ns each: the 100 ms of a transfer pass in a blink, and no time
/// limit inside the kernel depends on the host.
const COMMON: [&str; 18] = [
    "-cpu",
    "max",
    "-smp",
    "4",
    "-m",
    "512",
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
    "-kernel",
];

impl Architecture {
    /// A command that boots `kernel` on `machine`, its serial line on standard output; `words` reach the kernel.
    ///
    /// # Errors
    /// What this QEMU lacks for that machine.
    pub(crate) fn boot(
        &self,
        machine: &Machine,
        qemu: &Qemu,
        kernel: &Path,
        words: &[&str],
    ) -> Result<Command, String> {
        let mut command = qemu.command();
        command.args((machine.arguments)(qemu)?);
        command.args(["-device", "edu,dma_mask=0xffffffffffffffff"]);
        if qemu.has(Feature::IommuTestdev) {
            command.args(["-device", "iommu-testdev"]);
        }
        (self.pass)(&mut command, words);
        command.args(COMMON).arg(kernel);
        Ok(command)
    }
}
