//! The library's own ports on the model before the conformance suite: three architectures, four IOMMU drivers, their platform.

use tlb_shootdown_on_model::{Broken, Proof, aarch64, powerpc, x86_64};

use tlb_shootdown_model::conformance::Passed;

/// Both initiators, four CPUs and a device.
const EVERY_WAY: [u32; 4] = [30, 0, 396, 396];

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

/// Of the platform all but what takes CPUs that work at the same time, and so much of the rest: checks, checks that could not be made, looks
/// without a flush, and old entries that were seen then.
#[track_caller]
fn all_is_proven(proof: Result<Proof, Broken>, arch: [u32; 4], driver: Option<[u32; 4]>) {
    let proof = proof.unwrap();
    assert_eq!(counts(proof.platform), [15, 4, 0, 0]);
    assert_eq!(counts(proof.arch), arch);
    assert_eq!(proof.secondary.map(counts), driver);
}

#[test]
fn aarch64_with_smmuv3() {
    all_is_proven(aarch64::proof(), EVERY_WAY, Some([21, 2, 10, 10]));
}

#[test]
fn x86_64_with_an_amd_iommu() {
    all_is_proven(x86_64::amd_proof(), EVERY_WAY, Some([21, 2, 10, 10]));
}

#[test]
fn x86_64_with_vtd() {
    all_is_proven(x86_64::vtd_proof(), EVERY_WAY, Some([21, 2, 10, 10]));
}

/// Its queue is never full, and its device walks anew before it reports an upgrade as a fault.
#[test]
fn power10_with_atsd_registers() {
    all_is_proven(powerpc::atsd_proof(), EVERY_WAY, Some([19, 4, 10, 9]));
}

/// Its driver has nothing to queue, and rights are never widened in place.
#[test]
fn power9_with_a_link_that_snoops() {
    all_is_proven(
        powerpc::snooping_proof(),
        [26, 4, 366, 366],
        Some([15, 8, 0, 0]),
    );
}

#[test]
fn a_guest_on_power10() {
    all_is_proven(powerpc::guest_proof(), [30, 0, 336, 336], None);
}
