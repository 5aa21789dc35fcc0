//! The same table on the software model.

use tlb_shootdown_on_model::{MACHINE, RAN_ON, YARDSTICK, cells};

use super::report::{Report, word};

/// Plays every case to every observer on the model.
pub(crate) fn play() -> Report {
    let (cells, troubles) = match cells() {
        Ok(cells) => (cells, Vec::new()),
        Err((case, observer, failure)) => {
            let trouble = format!("{}, {}: {failure}", word(&case), word(&observer));
            (Vec::new(), vec![trouble])
        }
    };
    Report {
        machine: MACHINE,
        ran_on: RAN_ON.to_owned(),
        yardstick: YARDSTICK,
        cells,
        troubles,
        last_words: String::new(),
    }
}
