//! The same table on the software model.

use tlb_shootdown_on_model::{MACHINE, RAN_ON};

use super::report::{Report, word};
use crate::arch::{Architecture, Demo, Machine};

/// Plays every case to every observer on the model of this machine, if there is one.
pub(crate) fn play(
    arch: &'static Architecture,
    machine: &'static Machine,
    demo: &'static Demo,
) -> Option<Report> {
    let model = demo.model.as_ref()?;
    let (cells, troubles) = match (model.play)() {
        Ok(cells) => (cells, Vec::new()),
        Err((case, observer, failure)) => {
            let trouble = format!("{}, {}: {failure}", word(&case), word(&observer));
            (Vec::new(), vec![trouble])
        }
    };
    Some(Report {
        arch,
        machine,
        board: MACHINE,
        remark: model.remark,
        ran_on: RAN_ON.to_owned(),
        yardstick: model.yardstick,
        instead: false,
        cells,
        troubles,
        last_words: String::new(),
    })
}
