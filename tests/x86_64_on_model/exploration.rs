//! Every run of small machines: CPUs that are asked, CPUs with INVLPGB, and either of them under a device's IOMMU.

use crate::amd::AmdDevices;
use crate::explored_kernel::{Booted, GENERATIONS, MERGERS, every_run, explore};
use crate::faulty::{Defect, Drops};
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
    vtd [3, 1]: with_vtd(CpuFeatures::PLAIN);
    amd [3, 1]: with_amd(CpuFeatures::PLAIN);
}

/// Of two changes that are under way at once a CPU may have heard of the second alone: dropping the pages of that brings it up to the second
/// only where it has seen the first, and otherwise it has to drop everything. Both are among these runs.
#[test]
fn promise_03_nothing_stale_where_generations_come_out_of_order() {
    let before = Drops::here();
    explore(&GENERATIONS, REACH, || {
        alone(CpuFeatures::PLAIN, Defect::None)
    });
    let drops = Drops::here();
    println!("drops in part and whole, before and after: {before:?}, {drops:?}");
    assert!(drops.pages > before.pages && drops.whole > before.whole);
}

/// A CPU that has not been interrupted yet is asked once more: it hears of both changes at once, and of neither alone.
#[test]
fn promise_05_nothing_lost_where_requests_are_merged() {
    explore(&MERGERS, REACH, || alone(CpuFeatures::PLAIN, Defect::None));
}

#[test]
fn exploration_finds_what_is_left_out() {
    for defect in [Defect::NoPage, Defect::WrongPage] {
        let found = catch_unwind(|| {
            explore(&GENERATIONS, REACH, || alone(CpuFeatures::PLAIN, defect));
        });
        assert!(found.is_err(), "{defect:?}");
    }
}
