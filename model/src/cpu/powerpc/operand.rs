//! RB and RS of TLBIE and TLBIEL, taken apart (Power ISA 3.1B Book III 6.9.3.3; QEMU's `helper_tlbie_isa300` refuses the same forms).

use super::state::{CpuFeatures, Level, Role};
use crate::tlb::{PowerScope, Reach, SETS};

/// RB bits 0:51, EPN.
const EPN: u64 = !0xfff;
/// RB bits 52:53, IS.
const IS: u64 = 0b11 << 10;
/// RB bits 56:58, AP.
const AP: u64 = 0b111 << 5;
/// RB bits 40:51 of TLBIEL where IS is not 0: the congruence class.
const SET: u64 = 0xfff << 12;
/// EA bits 0:1.
const QUADRANT: u64 = 0b11 << 62;
/// RS bits 32:63, LPID; bits 0:31 are the PID.
const LPID: u64 = 0xffff_ffff;

/// The parts of an invalidation that its machine word carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// RIC: 0 translations, 1 page-walk caches, 2 both and process-table entries.
    pub(super) ric: u8,
    /// PRS.
    pub(super) process_scoped: bool,
    /// TLBIE rather than TLBIEL.
    pub(super) broadcast: bool,
}

/// The form is illegal, privileged, reserved, or boundedly undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undefined;

/// What is bound to go; nothing, where it is not this partition's.
pub(super) fn decode(
    form: Form,
    rb: u64,
    rs: u64,
    features: &CpuFeatures,
) -> Result<Option<PowerScope>, Undefined> {
    let is = (rb & IS) >> 10;
    let is_allowed = match features.role {
        Role::Hypervisor => true,
        Role::Guest => form.process_scoped,
        Role::GuestWithoutTlbie => form.process_scoped && !form.broadcast,
    };
    // RIC 1 and 2 have no form by address, and partition scope none by PID.
    if !is_allowed || is == 0 && form.ric != 0 || is == 1 && !form.process_scoped {
        return Err(Undefined);
    }
    let reach = match is {
        0 => by_address(rb)?,
        _ => by_set(form, rb, features)?,
    };
    let scope = PowerScope {
        pid: (is < 2).then_some((rs >> 32) as u32),
        reach,
        translations: form.ric != 1,
        walk_caches: form.ric != 0,
        process_table: form.ric == 2,
    };
    Ok(is_about_this_partition(form, is, rs, features).then_some(scope))
}

/// A guest's LPID is not asked for. A hypervisor's own translations are process-scoped under LPID 0; IS = 3 reaches them with partition
/// scope as well (Linux' `radix__flush_tlb_all` relies on it).
fn is_about_this_partition(form: Form, is: u64, rs: u64, features: &CpuFeatures) -> bool {
    let is_host = rs & LPID == 0;
    match features.role {
        Role::Hypervisor if form.process_scoped => is_host,
        Role::Hypervisor => is_host && is == 3 && form.broadcast,
        Role::Guest | Role::GuestWithoutTlbie => true,
    }
}

/// Only quadrant 0 has a form by address: others are boundedly undefined.
fn by_address(rb: u64) -> Result<Reach, Undefined> {
    let shift = match (rb & AP) >> 5 {
        0 => 12,
        5 => 16,
        1 => 21,
        2 => 30,
        _ => return Err(Undefined),
    };
    if rb & !(EPN | AP) != 0 || rb & QUADRANT != 0 {
        return Err(Undefined);
    }
    // EPN bits within the page are ignored.
    let first = rb & EPN & !((1 << shift) - 1);
    Ok(Reach::Pages {
        first,
        last: first | ((1 << shift) - 1),
        shift,
    })
}

/// TLBIEL of ISA 3.0 names a class; page-walk caches have the first alone.
fn by_set(form: Form, rb: u64, features: &CpuFeatures) -> Result<Reach, Undefined> {
    let (set, rest) = ((rb & SET) >> 12, rb & !(SET | IS));
    let names_set = !form.broadcast && features.level == Level::V3_0;
    let is_valid = match (form.broadcast, form.ric) {
        (true, _) | (false, 1) => set == 0,
        (false, _) => set < SETS,
    };
    match is_valid && rest == 0 {
        true if names_set => Ok(Reach::Set(set)),
        true => Ok(Reach::Everywhere),
        false => Err(Undefined),
    }
}
