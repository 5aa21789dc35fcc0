//! Platforms that keep their contract, and one broken sentence after another.

use crate::played::{CPUS, Defect, Played};
use crate::threads::{self, Mask};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown_model::conformance::{self, Failure, Passed};
use tlb_shootdown_model::platform::{ModelPlatform, PlainArch};
use tlb_shootdown_model::{Model, Temper};

const ONE: CpuId = CpuId::new(1);
const TWO: CpuId = CpuId::new(2);

fn played(defect: Defect) -> Result<Passed, Failure> {
    let model = Model::new(CPUS as usize, Temper::Late);
    let platform = ModelPlatform::new(model.clone());
    let engine = Played::engine(platform, PlainArch::new(model), defect);
    let passed = conformance::platform(engine, engine.platform());
    engine.platform().inner().clear_handler();
    passed
}

#[track_caller]
fn fails(defect: Defect, failure: Failure) {
    assert_eq!(played(defect), Err(failure), "{defect:?}");
}

#[test]
fn cpus_that_take_turns_pass_but_for_what_takes_two_at_once() {
    let passed = played(Defect::None).unwrap();
    assert_eq!((passed.checks, passed.skipped), (15, 6));
}

#[test]
fn threads_pass_everything() {
    let passed = threads::platform(Mask::Kept).unwrap();
    assert_eq!((passed.checks, passed.skipped), (21, 0));
}

#[test]
fn numbers_beyond_the_capacity_are_found() {
    fails(
        Defect::HighNumber,
        Failure::BeyondCapacity {
            cpu: CpuId::new(64),
        },
    );
}

#[test]
fn numbers_that_two_cpus_share_are_found() {
    fails(Defect::SharedNumber, Failure::SharedNumber { cpu: ONE });
}

#[test]
fn numbers_of_others_are_found() {
    let failure = Failure::WrongCpu {
        asked: ONE,
        found: TWO,
    };
    fails(Defect::Swapped, failure);
}

/// Under both pin guards, under the outer one, with interrupts off by two guards, and by one.
#[test]
fn moving_under_any_guard_is_found() {
    for turns in [10, 256 + 10, 512 + 10, 768 + 10] {
        let failure = Failure::Moved { cpu: ONE, now: TWO };
        fails(Defect::MovesAfter(turns), failure);
    }
}

#[test]
fn answers_that_change_are_found() {
    use Failure::{NmiWayChanges, RepairsChanges, WakeLaterChanges};
    let cpu = CpuId::new(0);
    fails(Defect::RepairsSometimes, RepairsChanges { cpu });
    fails(Defect::WakesSometimes, WakeLaterChanges { cpu });
    fails(Defect::SendsNmiSometimes, NmiWayChanges { cpu });
}

#[test]
fn a_clock_of_some_cpus_alone_is_found() {
    fails(
        Defect::ClockSometimes,
        Failure::ClockComesAndGoes { cpu: TWO },
    );
}

#[test]
fn a_clock_that_is_behind_that_of_another_cpu_is_found() {
    let failure = played(Defect::ClockBehind).unwrap_err();
    assert!(
        matches!(failure, Failure::ClockWentBack { cpu: TWO, .. }),
        "{failure:?}"
    );
}

#[test]
fn a_clock_that_stands_still_is_found() {
    let cpu = CpuId::new(0);
    fails(Defect::ClockStands, Failure::ClockStandsStill { cpu });
}

#[test]
fn a_cpu_that_is_never_interrupted_is_found() {
    fails(Defect::Deaf, Failure::NotInterrupted { cpu: ONE });
}

#[test]
fn an_interrupt_that_is_lost_in_the_handler_is_found() {
    fails(Defect::DeafInHandler, Failure::InterruptLost { cpu: ONE });
}

#[test]
fn an_interrupt_that_is_lost_after_one_without_a_request_is_found() {
    fails(Defect::DeafOnceUnasked, Failure::InterruptLost { cpu: ONE });
}

#[test]
fn a_number_that_the_engine_cannot_take_later_on_is_found() {
    fails(Defect::HighNumberAfter(1400), Failure::RoundRefused);
}

#[test]
fn work_that_is_not_done_is_found() {
    fails(Defect::Idle, Failure::NotRun { cpu: TWO });
}

#[test]
fn a_handler_that_runs_with_interrupts_off_is_found() {
    let zero = CpuId::new(0);
    for mask in [Mask::Ignored, Mask::EndsWithInner, Mask::EndsWithPin] {
        let failure = Failure::InterruptedWhileOff { cpu: zero };
        assert_eq!(threads::platform(mask), Err(failure), "{mask:?}");
    }
}

#[test]
fn interrupts_that_stay_off_are_found() {
    let cpu = CpuId::new(0);
    assert_eq!(
        threads::platform(Mask::NeverEnds),
        Err(Failure::StaysMasked { cpu })
    );
}

#[test]
fn cpus_that_do_not_work_at_the_same_time_are_found() {
    let failure = threads::platform(Mask::OneAfterAnother).unwrap_err();
    assert!(
        matches!(failure, Failure::NotTogether { .. }),
        "{failure:?}"
    );
}

/// An NMI that waits until interrupts are on is none.
#[test]
fn an_nmi_that_can_be_masked_is_found() {
    let cpu = CpuId::new(0);
    assert_eq!(
        threads::platform(Mask::OfNmisAsWell),
        Err(Failure::NmiUnanswered { cpu })
    );
}

#[test]
fn a_task_that_is_never_woken_is_found() {
    let cpu = CpuId::new(0);
    assert_eq!(
        threads::platform(Mask::KeptButWakesNobody),
        Err(Failure::NotWoken { cpu })
    );
}

#[test]
fn failures_say_the_sentence_and_who_broke_it() {
    let words = Failure::SharedNumber { cpu: ONE }.to_string();
    assert_eq!(words, "no two CPUs share a number: CPU 1");
}
