//! Every row in every column, and its controls.

use crate::harness::{Beside, Column, Kernel, Left, Machine, Run, meets_kernel};
use tlb_shootdown_model::Temper;

/// A row of the table.
pub(crate) type Row<M> = fn(&mut Kernel<M>);

/// Who uses something stale, or is refused what it may do, where a part of the row is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    /// CPUs where the call is left out: AArch64, x86-64, POWER.
    pub(crate) cpus: [bool; 3],
    /// Devices where the call is left out.
    pub(crate) devices: Shows,
    /// Devices where they alone are not told.
    pub(crate) untold: Shows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Yes,
    No,
    /// Not where the device hears the CPUs' flush.
    UnlessHeard,
    /// The same, but rights must not be widened in place, heard or not.
    WhenWidened,
    /// Where devices walk a root with the kernel's half.
    WithKernelHalf,
}

/// What most rows show: everybody goes on with what was.
pub(crate) const EVERYBODY: Control = Control {
    cpus: [true; 3],
    devices: Shows::Yes,
    untold: Shows::UnlessHeard,
};

/// Rights are widened.
pub(crate) const UPGRADE: Control = Control {
    untold: Shows::WhenWidened,
    ..EVERYBODY
};

/// CPUs repair themselves by faults, but for those that keep the entry they faulted by; a device has no flush of theirs to hear.
pub(crate) const FAULTING_CPUS: Control = Control {
    cpus: [true, false, false],
    untold: Shows::Yes,
    ..EVERYBODY
};

/// The row's own call is for a CPU alone; the device was told before.
pub(crate) const ONE_CPU: Control = Control {
    devices: Shows::No,
    ..FAULTING_CPUS
};

/// Devices have to do with tables alone.
pub(crate) const KERNEL_HALF: Control = Control {
    devices: Shows::WithKernelHalf,
    untold: Shows::WithKernelHalf,
    ..EVERYBODY
};

/// As late as may be; at once, which is too early for what has been started in the wrong order; and as chance has it, with evictions, and with
/// fetches that nobody asked for.
const TEMPERS: [Temper; 4] = [
    Temper::Late,
    Temper::Kind,
    Temper::Seeded(1),
    Temper::Seeded(2),
];

/// The kinds of a column. A device that snoops is there once more with a process that runs on this CPU alone: its flushes have to be broadcast
/// all the same.
fn runs<M: Machine>(column: Column) -> Vec<Run<M::Cpu>> {
    let mut runs = Vec::new();
    for (cpus, beside) in M::kinds(column) {
        let counts = runs.is_empty();
        for is_alone in [false, true] {
            if !is_alone || beside.snoops() {
                runs.push(Run {
                    cpus,
                    beside,
                    is_alone,
                    temper: Temper::Late,
                    left: Left::Nothing,
                    counts,
                });
            }
        }
    }
    runs
}

/// The row, in every kind of its column.
pub(crate) fn kept<M: Machine>(column: Column, row: Row<M>) {
    for run in runs::<M>(column) {
        for temper in TEMPERS {
            let mut kernel = Kernel::<M>::boot(Run {
                temper,
                counts: run.counts && temper == Temper::Late,
                ..run
            });
            row(&mut kernel);
            kernel.ends_clean();
        }
    }
}

/// The row with its calls left out, then with the device untold: whoever is to be found wrong is, and nobody else.
pub(crate) fn left_out<M: Machine>(column: Column, row: Row<M>, control: Control) {
    for run in runs::<M>(column) {
        for left in [Left::Call, Left::Notice] {
            let run = Run { left, ..run };
            let mut kernel = Kernel::<M>::boot(run);
            row(&mut kernel);
            let findings = kernel.findings();
            let found = (!findings.cpu.is_empty(), !findings.device.is_empty());
            let expected = match findings.void {
                Some(_) if left == Left::Call => (false, false),
                _ => control.shows::<M>(&run),
            };
            assert_eq!(found, expected, "{run:?}: CPUs and device; {findings:#?}");
        }
    }
}

impl Control {
    /// On CPUs, and on the device.
    fn shows<M: Machine>(&self, run: &Run<M::Cpu>) -> (bool, bool) {
        let (beside, left) = (run.beside, run.left);
        let (cpus, devices) = match left {
            Left::Nothing => (false, Shows::No),
            Left::Call => (self.cpus[M::INDEX], self.devices),
            Left::Notice => (false, self.untold),
        };
        // A CPU that is alone broadcasts for nobody that it does not know of.
        let hears = beside.hears_everything() && !run.is_alone;
        let device = match devices {
            Shows::No => false,
            Shows::UnlessHeard if hears => false,
            Shows::WhenWidened if hears => beside.believes_its_rights(),
            Shows::Yes | Shows::UnlessHeard | Shows::WhenWidened => beside != Beside::Nothing,
            Shows::WithKernelHalf => meets_kernel(beside, M::FORMAT),
        };
        (cpus, device)
    }
}

/// The tests of a row: one for each column, and one for the controls of each.
macro_rules! row {
    ($name:ident: $module:ident::$row:ident, $control:ident) => {
        mod $name {
            use crate::harness::{Aarch64, Column, Power, X86_64};
            use crate::matrix::kept;
            use crate::$module::$row;

            crate::matrix::columns!(kept, $row);

            mod left_out {
                use super::*;
                use crate::matrix::{left_out, $control};

                crate::matrix::columns!(left_out, $row, $control);
            }
        }
    };
}

macro_rules! columns {
    ($run:ident, $row:ident $(, $control:ident)?) => {
        crate::matrix::columns!(@ $run, $row, ($($control)?),
            aarch64_alone Aarch64 Alone,
            aarch64_with_smmuv3 Aarch64 Smmuv3,
            aarch64_with_vtd Aarch64 Vtd,
            aarch64_with_amd_iommu Aarch64 Amd,
            aarch64_with_ocxl Aarch64 Ocxl,
            x86_64_alone X86_64 Alone,
            x86_64_with_smmuv3 X86_64 Smmuv3,
            x86_64_with_vtd X86_64 Vtd,
            x86_64_with_amd_iommu X86_64 Amd,
            x86_64_with_ocxl X86_64 Ocxl,
            power_alone Power Alone,
            power_with_smmuv3 Power Smmuv3,
            power_with_vtd Power Vtd,
            power_with_amd_iommu Power Amd,
            power_with_ocxl Power Ocxl,
        );
    };
    (@ $run:ident, $row:ident, $control:tt, $($name:ident $machine:ident $column:ident,)*) => {
        $(
            #[test]
            fn $name() {
                crate::matrix::columns!(# $run, $row, $control, $machine $column);
            }
        )*
    };
    (# $run:ident, $row:ident, (), $machine:ident $column:ident) => {
        $run::<$machine>(Column::$column, $row::<$machine>)
    };
    (# $run:ident, $row:ident, ($control:ident), $machine:ident $column:ident) => {
        $run::<$machine>(Column::$column, $row::<$machine>, $control)
    };
}

pub(crate) use {columns, row};
