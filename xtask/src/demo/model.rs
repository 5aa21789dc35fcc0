//! The same table on the software model.

use tlb_shootdown_on_model::{MACHINE, RAN_ON};

use super::report::{Report, word};
use crate::arch::{Architecture, Demo, Machine};

/// What the emulator's IOMMU has not, where the model shows it.
pub(crate) fn beside(
    arch: &'static Architecture,
    machine: &'static Machine,
    demo: &'static Demo,
) -> Option<Report> {
    let device = demo.beside?;
    let report = play(arch, machine, demo)?;
    Some(Report {
        device: Some(device),
        ..report
    })
}

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
        device: machine.device.or(demo.beside),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;

    /// QEMU's AMD IOMMU knows no PASIDs: their rows come from the model, under a name of their own, as do all that no emulator has.
    #[test]
    fn what_emulators_lack_stands_beside_what_they_have() {
        let demos = arch::ALL.into_iter().flat_map(|arch| {
            arch.demos()
                .map(move |(machine, demo)| (arch, machine, demo))
        });
        let wanted = demos.filter(|(_, _, demo)| demo.beside.is_some());
        let mut machines = Vec::new();
        for (arch, machine, demo) in wanted {
            let report = beside(arch, machine, demo).expect("the model has such a machine");
            assert_ne!(report.device, report.machine.device);
            assert_eq!((report.cells.len(), report.faults()), (27, Vec::new()));
            assert!(!report.instead);
            machines.push(machine.name);
        }
        assert!(machines.contains(&"amd"));
    }
}
