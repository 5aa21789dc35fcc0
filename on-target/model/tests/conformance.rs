//! The library's own ports on the model before the conformance suite: three architectures, four IOMMU drivers, their platform.

use tlb_shootdown_on_model::{Broken, Proof, aarch64, powerpc, x86_64};

use tlb_shootdown_model::conformance::Passed;

/// Both initiators, four CPUs and a device; several CPUs at once cannot be made.
const EVERY_WAY: [u32; 4] = [30, 1, 376, 376];

/// A driver whose queue can be full and whose device is told of everything.
const WHOLE_DRIVER: [u32; 4] = [24, 0, 10, 10];

fn counts(passed: Passed) -> [u32; 4] {
    let Passed {
        checks,
        skipped,
        controls,
        stale,
        ..
    } = passed;
    [checks, skipped, controls, stale]
}

/// Of the platform all but what takes CPUs that work at the same time, NMIs or wakers, and so much of the rest: checks, checks that could not be made, looks
/// without a flush, and old entries that were seen then.
#[track_caller]
fn all_is_proven(proof: Result<Proof, Broken>, arch: [u32; 4], driver: Option<[u32; 4]>) {
    let proof = proof.unwrap();
    assert_eq!(counts(proof.platform), [15, 6, 0, 0]);
    assert_eq!(counts(proof.arch), arch);
    assert_eq!(proof.secondary.map(counts), driver);
    assert_eq!(counts(proof.ending), [1, 0, 0, 0]);
}

#[test]
fn aarch64_with_smmuv3() {
    all_is_proven(aarch64::proof(), EVERY_WAY, Some(WHOLE_DRIVER));
}

#[test]
fn x86_64_with_an_amd_iommu() {
    all_is_proven(x86_64::amd_proof(), EVERY_WAY, Some(WHOLE_DRIVER));
}

#[test]
fn x86_64_with_vtd() {
    all_is_proven(x86_64::vtd_proof(), EVERY_WAY, Some(WHOLE_DRIVER));
}

/// Its queue is never full, and its device walks anew before it reports an upgrade as a fault.
#[test]
fn power10_with_atsd_registers() {
    all_is_proven(powerpc::atsd_proof(), EVERY_WAY, Some([22, 2, 10, 9]));
}

/// Its driver has nothing to queue, and rights are never widened in place.
#[test]
fn power9_with_a_link_that_snoops() {
    all_is_proven(
        powerpc::snooping_proof(),
        [26, 5, 346, 346],
        Some([17, 7, 0, 0]),
    );
}

#[test]
fn a_guest_on_power10() {
    all_is_proven(powerpc::guest_proof(), [30, 1, 320, 320], None);
}
