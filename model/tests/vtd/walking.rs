//! First-stage entries with bits that no kernel under test sets.

use crate::rig::{PAGE, PASID_INV, Rig};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::vtd::DeviceFault;

/// Where the entry of `PAGE` at a level lies: 0 for the root's, 3 for the last.
fn entry(rig: &Rig, level: u64) -> u64 {
    let at = |table: u64, level: u64| table + (PAGE >> (39 - 9 * level) & 0x1ff) * 8;
    (0..level).fold(at(rig.tables.root(), 0), |entry, level| {
        at(rig.model.peek(entry) & 0x000f_ffff_ffff_f000, level + 1)
    })
}

fn after(change: impl Fn(&Rig)) -> Result<u64, DeviceFault> {
    let mut rig = Rig::plain();
    change(&rig);
    rig.complete(&[PASID_INV]);
    rig.device.read(PAGE)
}

fn flip(rig: &Rig, level: u64, bits: u64) {
    let at = entry(rig, level);
    rig.model.poke(at, rig.model.peek(at) ^ bits);
}

#[test]
fn a_page_of_the_kernel_is_none_of_the_devices() {
    assert_eq!(after(|rig| flip(rig, 3, 0)), Ok(0));
    let user = after(|rig| flip(rig, 3, 1 << 2));
    assert_eq!(user, Err(DeviceFault::Reason(0x81)));
}

#[test]
fn directories_restrict_by_a_fault() {
    for level in 0..3 {
        for bit in [0, 1, 2] {
            let restricted = after(|rig| flip(rig, level, 1 << bit));
            assert_eq!(restricted, Err(DeviceFault::NotPresent), "{level} {bit}");
        }
    }
    // PS is reserved in the root.
    let large = after(|rig| flip(rig, 0, 1 << 7));
    assert_eq!(large, Err(DeviceFault::NotPresent));
}

#[test]
fn large_pages_lie_at_their_size() {
    let with = |bits: u64| {
        after(|rig| {
            let frame = rig.model.allocate(0x20_0000);
            let mapping = Mapping {
                level: 2,
                ..Mapping::page(frame, Rights::ReadOnly)
            };
            rig.tables.unhang_table(0, PAGE).unwrap();
            rig.tables.map(0, PAGE, mapping);
            rig.publish();
            flip(rig, 2, bits);
        })
    };
    assert_eq!(with(0), Ok(0));
    // PAT, and an address bit below the page's size.
    assert_eq!(with(1 << 12), Ok(0));
    assert_eq!(with(1 << 13), Err(DeviceFault::NotPresent));
}

#[test]
fn addresses_are_canonical() {
    let rig = Rig::plain();
    let bad = rig.device.read(PAGE | 1 << 47);
    assert_eq!(bad, Err(DeviceFault::Reason(0x80)));
}
