//! Illegal, reserved and privileged forms.

use super::rig::*;
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, ModelInstructions, Role};

/// Whether the instruction is reported on a CPU like this.
fn is_undefined(features: CpuFeatures, f: impl Fn(&ModelInstructions)) -> bool {
    let rig = Rig::new(features);
    f(&rig.on);
    match rig.violations() {
        none if none.is_empty() => false,
        some => some == UNDEFINED,
    }
}

#[test]
fn what_has_no_meaning_is_undefined() {
    let power9 = |f: &dyn Fn(&ModelInstructions)| is_undefined(CpuFeatures::POWER9, f);
    // By address there is RIC 0 alone, and partition scope knows no PID.
    assert!(power9(&|on| on.tlbie_ric1_prs1(VA, RS)));
    assert!(power9(&|on| on.tlbie_ric2_prs1(VA, RS)));
    assert!(power9(&|on| on.tlbiel_ric2_prs1(VA, RS)));
    assert!(power9(&|on| on.tlbie_ric2_prs0(BY_PID, RS)));
    // Beyond quadrant 0 there is none by address.
    assert!(power9(&|on| on.tlbie_ric0_prs1(KERNEL, 0)));
    assert!(!power9(&|on| on.tlbie_ric0_prs1(VA, 0)));
    // Page sizes 3, 4, 6 and 7; RB 54:55 and 59:63.
    for bits in [0x60, 0x80, 0xc0, 0xe0, 0x100, 0x200, 1, 0x10] {
        assert!(power9(&|on| on.tlbie_ric0_prs1(VA | bits, RS)), "{bits:#x}");
        assert!(
            power9(&|on| on.tlbie_ric0_prs1(BY_PID | bits, RS)),
            "{bits:#x}"
        );
    }
    // TLBIE has no classes, TLBIEL 128, and page-walk caches the first.
    assert!(power9(&|on| on.tlbie_ric0_prs1(0x1000 | BY_PID, RS)));
    assert!(!power9(&|on| on.tlbiel_ric0_prs1(0x7_f000 | BY_PID, RS)));
    assert!(power9(&|on| on.tlbiel_ric0_prs1(0x8_0000 | BY_PID, RS)));
    assert!(power9(&|on| on.tlbiel_ric1_prs1(0x1000 | BY_PID, RS)));
}

#[test]
fn guests_have_no_partition_scope_and_may_lack_tlbie() {
    let of = |role, f: &dyn Fn(&ModelInstructions)| {
        let power10 = is_undefined(CpuFeatures::POWER10.as_a(role), f);
        assert_eq!(is_undefined(CpuFeatures::POWER9.as_a(role), f), power10);
        power10
    };
    let partition: [&dyn Fn(&ModelInstructions); 2] = [&|on| on.tlbie_ric2_prs0(ALL, 0), &|on| {
        on.tlbiel_ric2_prs0(ALL, 0)
    }];
    for f in partition {
        assert!(!of(Role::Hypervisor, f));
        assert!(of(Role::Guest, f));
        assert!(of(Role::GuestWithoutTlbie, f));
    }
    let broadcast: [&dyn Fn(&ModelInstructions); 2] =
        [&|on| on.tlbie_ric2_prs1(BY_PID, RS), &|on| on.tlbsync()];
    for f in broadcast {
        assert!(!of(Role::Guest, f));
        assert!(of(Role::GuestWithoutTlbie, f));
    }
    let always: [&dyn Fn(&ModelInstructions); 3] = [
        &|on| on.tlbiel_ric2_prs1(BY_PID, RS),
        &|on| on.slbia_ih3(),
        &|on| on.ptesync(),
    ];
    for f in always {
        assert!(!of(Role::GuestWithoutTlbie, f));
    }
}

/// A guest's own LPID is meant, whatever RS says.
#[test]
fn a_guest_names_no_partition() {
    let rig = Rig::new(CpuFeatures::POWER10.as_a(Role::Guest));
    rig.unmap();
    rig.on.tlbie_ric0_prs1(BY_PID, RS | 9);
    rig.close();
    assert_eq!(rig.uses(1), [false, false, false, true]);
}

#[test]
fn the_version_is_what_the_machine_was_given() {
    let of = |features| Rig::new(features).on.pvr();
    assert_eq!(of(CpuFeatures::POWER9), 0x004e_1202);
    assert_eq!(of(CpuFeatures::POWER10), 0x0080_0200);
}
