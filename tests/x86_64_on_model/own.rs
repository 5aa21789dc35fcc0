//! What only kernels on x86-64 do.

use crate::random_kernel::{CPUS, Does, Half, Kernel, Op, mix, sequences};
use crate::rig::Rig;
use proptest::prelude::*;

/// Small pages alone.
const PAGES: u64 = 16;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Own {
    /// To the process, which reads all that it has.
    Exit { cpu: usize },
}

impl Own {
    pub(crate) fn apply(self, kernel: &mut Kernel<Rig>) {
        let Self::Exit { cpu } = self;
        if let Does::Runs(space) = kernel.cpus[cpu] {
            kernel.rig.exit_to_user(cpu);
            kernel.touch_half(cpu, Half::User(space));
        }
    }
}

/// What kernels do, perhaps with devices.
pub(crate) fn ops(devices: bool) -> impl Strategy<Value = Vec<Op<Own>>> {
    let exit = (0..CPUS).prop_map(|cpu| Own::Exit { cpu });
    sequences(mix(PAGES, (4, exit), devices))
}
