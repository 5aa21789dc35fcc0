//! The emulated AArch64 machine that kernels are booted on.

use std::path::Path;
use std::process::Command;

use crate::setup::Qemu;

/// The machine's name in reports.
pub(crate) const NAME: &str = "virt";
/// The IOMMU's name in reports.
pub(crate) const IOMMU: &str = "smmuv3";

/// A command that boots `kernel`, its serial line on standard output; `arguments` reach it through semihosting.
///
/// One host thread runs all four CPUs in turn: their order is then free of the host's load, and spinning CPUs that
/// yield cost nothing. Their clock counts instructions, 128 ns each: the 100 ms of a transfer pass in a blink, and no time
/// limit inside the kernel depends on the host.
pub(crate) fn boot(qemu: &Qemu, kernel: &Path, arguments: &[&str]) -> Command {
    let mut command = qemu.command();
    command.args([
        "-M",
        &format!("{NAME},iommu={IOMMU}"),
        "-cpu",
        "max",
        "-smp",
        "4",
        "-m",
        "512",
    ]);
    command.args([
        "-accel",
        "tcg,thread=single",
        "-icount",
        "shift=7,sleep=off",
        "-nographic",
        "-monitor",
        "none",
        "-serial",
        "stdio",
    ]);
    let mut semihosting = "enable=on,target=native".to_owned();
    for argument in arguments {
        semihosting.push_str(",arg=");
        semihosting.push_str(argument);
    }
    command.args(["-semihosting-config", &semihosting, "-net", "none"]);
    command.args(["-device", "edu,dma_mask=0xffffffffffffffff"]);
    if qemu.has_iommu_testdev {
        command.args(["-device", "iommu-testdev"]);
    }
    command.arg("-kernel").arg(kernel);
    command
}
