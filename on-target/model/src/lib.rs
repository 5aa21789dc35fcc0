//! The scenarios on the software model: the same table as under an emulator, with nothing unseen.
//!
//! The machines are the library's engine, architectures and IOMMU drivers on `tlb-shootdown-model`, which also judges what no scenario
//! looks at: every flush is followed by a question to the oracle, and by a comparison of the cost with what the machine counted.

pub mod aarch64;
mod broken;
mod counting;
mod family;
mod machine;
pub mod powerpc;
mod process;
pub mod x86_64;

pub use broken::Broken;
pub use machine::proof::Proof;

use self::family::Family;
use self::machine::Modelled;
use tlb_shootdown_scenarios::{Case, Cell, Failure, Observer, run};

/// What the machine is called in the table.
pub const MACHINE: &str = "tlb-shootdown-model";
/// What the table calls the place it was made on.
pub const RAN_ON: &str = "model";

/// Every cell, or the first scenario that failed for a reason that no TLB explains, with its case and observer.
pub type Played = Result<Vec<Cell>, (Case, Observer, Failure<Broken>)>;

/// Plays every case to every observer that the machine has, in the order of the table.
fn play<F: Family>() -> Played {
    let first = (Case::ALL[0], Observer::ALL[0]);
    let mut machine =
        Modelled::<F>::new().map_err(|broken| (first.0, first.1, Failure::Machine(broken)))?;
    let mut cells = Vec::new();
    for case in Case::ALL {
        for &observer in F::YARDSTICK.observers {
            let cell = run(&mut machine, case, observer);
            cells.push(cell.map_err(|failure| (case, observer, failure))?);
        }
    }
    Ok(cells)
}
