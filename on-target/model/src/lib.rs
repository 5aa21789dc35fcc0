//! The scenarios on the software model: the same table as under an emulator, with nothing unseen.
//!
//! The machine is the library's engine, AArch64 and SMMUv3 on `tlb-shootdown-model`, which also judges what no scenario looks at:
//! every flush is followed by a question to the oracle, and by a comparison of the cost with what the machine counted.

mod broken;
mod machine;
mod platform;
mod smmu;

pub use broken::Broken;
pub use machine::Modelled;

use tlb_shootdown_scenarios::{Case, Cell, Failure, Observer, Yardstick, run};

/// What the machine is called in the table.
pub const MACHINE: &str = "tlb-shootdown-model";
/// What the table calls the place it was made on.
pub const RAN_ON: &str = "model";
/// What holds of the model.
pub const YARDSTICK: &Yardstick = &Yardstick::AARCH64_SMMUV3_MODEL;

/// Plays every case to every observer, in the order of the table.
///
/// # Errors
/// The first scenario that failed for a reason that no TLB explains, with its case and observer.
pub fn cells() -> Result<Vec<Cell>, (Case, Observer, Failure<Broken>)> {
    let first = (Case::ALL[0], Observer::ALL[0]);
    let mut machine =
        Modelled::new().map_err(|broken| (first.0, first.1, Failure::Machine(broken)))?;
    let mut cells = Vec::new();
    for case in Case::ALL {
        for observer in Observer::ALL {
            let cell = run(&mut machine, case, observer);
            cells.push(cell.map_err(|failure| (case, observer, failure))?);
        }
    }
    Ok(cells)
}
