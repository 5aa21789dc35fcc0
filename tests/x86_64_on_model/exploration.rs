//! Every run of small machines: CPUs that are asked, CPUs with INVLPGB, and either of them under a device's IOMMU.

use crate::amd::AmdDevices;
use crate::explored_kernel::{Booted, GENERATIONS, every_run, explore};
use crate::faulty::Defect;
use crate::rig::{Parts, Rig};
use crate::vtd::{VtdDevices, units};
use std::panic::catch_unwind;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::x86_64::CpuFeatures;
use tlb_shootdown_model::vtd::VtdOptions;

/// Two CPUs, with one slot for the identifiers of the process and its neighbour.
fn rig(features: CpuFeatures, defect: Defect) -> Rig {
    Rig::new(Parts {
        defect,
        slots: 1,
        ..Parts::new(features, Temper::Explored)
    })
}

fn alone(features: CpuFeatures, defect: Defect) -> Booted<Rig> {
    (rig(features, defect), None)
}

/// Two more CPUs, without which the process would get no identifier that broadcasts reach.
fn broadcasting() -> Booted<Rig> {
    let rig = Rig::new(Parts {
        cpus: 4,
        slots: 1,
        ..Parts::new(CpuFeatures::BROADCASTS, Temper::Explored)
    });
    (rig, None)
}

/// The device is waited for as long as it takes.
fn with_vtd(features: CpuFeatures) -> Booted<Rig> {
    let rig = rig(features, Defect::None);
    let (options, config) = units()[0];
    let options = VtdOptions {
        device_timeout: u32::MAX,
        ..options
    };
    let devices = VtdDevices::new(&rig, (options, config), false);
    (rig, Some(Box::new(devices)))
}

fn with_amd(features: CpuFeatures) -> Booted<Rig> {
    let rig = rig(features, Defect::None);
    let devices = AmdDevices::new(&rig, false);
    (rig, Some(Box::new(devices)))
}

/// Long enough for two changes by each CPU.
const REACH: [usize; 2] = [6, 3];

every_run! {
    /// By interrupts.
    plain [4, 3]: alone(CpuFeatures::PLAIN, Defect::None);
    /// By INVLPGB, from the flush on that still asks as well.
    broadcasts [4, 2]: broadcasting();
    vtd [3, 2]: with_vtd(CpuFeatures::PLAIN);
    amd [3, 2]: with_amd(CpuFeatures::PLAIN);
}

/// Of two changes that are under way at once a CPU may have heard of the second alone: what it then drops brings it up to that only where it
/// has seen the first. Both kinds of flush are among these runs.
#[test]
fn promise_03_nothing_stale_where_generations_come_out_of_order() {
    let seen = explore(&GENERATIONS, REACH, || alone(CpuFeatures::PLAIN, Defect::None));
    assert!(seen.in_part > 0 && seen.whole > 0, "{seen:?}");
}

#[test]
fn exploration_finds_what_is_left_out() {
    for defect in [Defect::NoPage, Defect::WrongPage, Defect::NoStoreBarrier] {
        let found = catch_unwind(|| explore(&GENERATIONS, REACH, || alone(CpuFeatures::PLAIN, defect)));
        assert!(found.is_err(), "{defect:?}");
    }
}
