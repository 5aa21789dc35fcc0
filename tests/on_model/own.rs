//! What only kernels on AArch64 do.

use crate::random_kernel::{CPUS, Does, Half, Kernel, Op, mix, sequences};
use crate::rig::Rig;
use proptest::prelude::*;
use tlb_shootdown::arch::aarch64::odd_asid;

/// Small pages and two large ones.
const PAGES: u64 = 18;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Own {
    /// To the process, which runs under the odd ASID where the kernel is unmapped meanwhile, and reads all that it has.
    Exit { cpu: usize },
}

impl Own {
    pub(crate) fn apply(self, kernel: &mut Kernel<Rig>) {
        let Self::Exit { cpu } = self;
        if let Does::Runs(space) = kernel.cpus[cpu] {
            if let (true, Some(id)) = (kernel.rig.parts.kpti, kernel.asid(space)) {
                let root = kernel.root(space);
                kernel.rig.cpu(cpu).run(root, odd_asid(id).0 as u16);
            }
            kernel.touch_half(cpu, Half::User(space));
        }
    }
}

impl Kernel<Rig> {
    fn asid(&self, space: usize) -> Option<tlb_shootdown::arch::HardwareId> {
        self.rig.asid(self.process(space))
    }

    fn root(&self, space: usize) -> u64 {
        self.process(space).tables.root()
    }
}

/// What kernels do.
pub(crate) fn ops() -> impl Strategy<Value = Vec<Op<Own>>> {
    let exit = (0..CPUS).prop_map(|cpu| Own::Exit { cpu });
    sequences(mix(PAGES, (4, exit), true))
}
