//! What only kernels on POWER do.

use crate::random_kernel::{Does, Half, How, Kernel, Op, how, mix, sequences};
use crate::rig::Rig;
use proptest::prelude::*;
use tlb_shootdown::arch::powerpc::hypervisor::HypervisorError;

/// Small pages and two large ones.
pub(crate) const PAGES: u64 = 18;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Own {
    /// A new process runs here alone, uses three pages, and loses them.
    Alone {
        space: usize,
        pages: [u64; 3],
        how: How,
    },
    /// A store that is translated and stays queued.
    WriteLater { cpu: usize, page: u64 },
    /// A COPY that nobody pastes.
    Copy { cpu: usize, page: u64 },
    /// The hypervisor's next answer.
    Answer(HypervisorError),
}

impl Own {
    pub(crate) fn apply(self, kernel: &mut Kernel<Rig>) {
        match self {
            Self::Alone { space, pages, how } => run_alone(kernel, space, pages, how),
            Self::WriteLater { cpu, page } => use_later(kernel, cpu, page, true),
            Self::Copy { cpu, page } => use_later(kernel, cpu, page, false),
            Self::Answer(answer) => kernel.rig.hypervisor.fail_next(&[answer]),
        }
    }
}

fn run_alone(kernel: &mut Kernel<Rig>, space: usize, pages: [u64; 3], how: How) {
    let (half, cpu) = (Half::User(space), kernel.me());
    kernel.retire(space);
    pages.iter().for_each(|&page| kernel.map(half, page, true));
    kernel.apply(Op::Switch { cpu, space });
    for page in pages {
        kernel.access(cpu, half, page, true);
        use_later(kernel, cpu, page, false);
    }
    pages.iter().for_each(|&page| kernel.unmap(half, page));
    kernel.flush(half, how);
}

/// A use of a translation that lasts.
fn use_later(kernel: &mut Kernel<Rig>, cpu: usize, page: u64, write: bool) {
    let Does::Runs(space) = kernel.cpus[cpu] else {
        return;
    };
    let half = Half::User(space);
    let (va, stamp) = kernel.place(half, page);
    let port = kernel.rig.model.cpu(cpu);
    let done = kernel.tries(cpu, half, page, write, || {
        let used = match write {
            true => port.write_later(va, stamp),
            false => port.copy(va),
        };
        used.is_ok()
    });
    kernel.check(half, page, write, done);
}

fn own() -> impl Strategy<Value = Own> {
    let (cpu, page) = (0..crate::random_kernel::CPUS, 0..PAGES);
    let alone = (
        0..crate::random_kernel::SPACES,
        [0..PAGES, 0..PAGES, 0..PAGES],
        how(),
    );
    prop_oneof![
        4 => alone.prop_map(|(space, pages, how)| Own::Alone { space, pages, how }),
        2 => (cpu.clone(), page.clone()).prop_map(|(cpu, page)| Own::WriteLater { cpu, page }),
        2 => (cpu, page).prop_map(|(cpu, page)| Own::Copy { cpu, page }),
        1 => prop_oneof![
            2 => Just(HypervisorError::Busy),
            1 => Just(HypervisorError::Refused(-55)),
        ].prop_map(Own::Answer),
    ]
}

/// What kernels do, perhaps with devices.
pub(crate) fn ops(devices: bool) -> impl Strategy<Value = Vec<Op<Own>>> {
    sequences(mix(PAGES, (9, own()), devices))
}
