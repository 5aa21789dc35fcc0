//! Process elements: read once, used until firmware clears them, fatal where they are not there.

use super::rig::*;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::ocxl::{DeviceFault, LinkOptions};
use tlb_shootdown_model::oracle::{Holder, Violation};

const CHECKSTOP: Violation = Violation::Checkstop { iommu: 0 };

fn rig() -> Rig {
    Rig::new(LinkOptions::POWER9)
}

#[test]
fn an_element_that_is_not_there_stops_the_machine() {
    let rig = rig();
    let other = rig.link.device(FUNCTION, 4);
    assert_eq!(other.read(PAGE), Err(DeviceFault::Down));
    assert_eq!(rig.model.violations(), [CHECKSTOP]);
    // Everybody else is down as well.
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Down));
    for pasid in [16, 0x7fff] {
        let rig = Rig::new(LinkOptions::POWER9);
        let beyond = rig.link.device(FUNCTION, pasid);
        assert_eq!(beyond.read(PAGE), Err(DeviceFault::Down));
        assert_eq!(rig.model.violations(), [CHECKSTOP]);
    }
}

#[test]
fn the_area_ends_where_firmware_was_told() {
    for (elements, is_there) in [(3, false), (4, true)] {
        let rig = rig();
        rig.link
            .set_process_area(rig.area.phys().raw(), elements * 128);
        assert_eq!(rig.device.read(PAGE).is_ok(), is_there);
    }
}

#[test]
fn a_cached_element_outlives_the_one_in_memory() {
    let rig = rig();
    rig.device.read(PAGE).unwrap();
    assert!(rig.link.holds_element(PASID));
    (0..16).for_each(|index| rig.put(PASID, index, 0));
    rig.publish();
    assert!(rig.device.read(PAGE).is_ok());
    rig.link.clear_element(PASID);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Down));
    assert_eq!(rig.model.violations(), [CHECKSTOP]);
}

#[test]
fn an_element_that_was_replaced_without_clearing_is_used_and_reported() {
    let rig = rig();
    rig.device.read(PAGE).unwrap();
    let other = rig.model.radix_tables();
    rig.model.set_process(7, Some(other.root()));
    rig.put_element(PASID, 7);
    assert!(rig.device.read(PAGE).is_ok());
    let (holder, va) = (Holder::Iommu(0), PAGE);
    let foreign = Violation::UsedForeign { holder, va };
    assert_eq!(rig.model.violations(), [foreign]);
    rig.link.clear_element(PASID);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
    rig.assert_clean();
}

/// One doubleword that is wrong, each in an element that is otherwise right.
#[test]
fn elements_that_make_no_sense_are_reported() {
    let names = u64::from(PASID) << 44 | u64::from(FUNCTION) << 16;
    for (index, value) in [
        (0, CONFIG & !(1 << 57)),
        (0, CONFIG & !(1 << 4)),
        (0, CONFIG | 1 << 62),
        (1, names + (1 << 44)),
        (1, names + (1 << 16)),
        (1, names | 1),
        (1, u64::from(PASID) << 32 | u64::from(FUNCTION) << 16),
        (2, 1),
        (5, 1),
        (6, 1 << 32),
        (8, 1),
        (12, 1),
        (14, 1),
        (15, VALID | 1 << 32),
    ] {
        let rig = rig();
        rig.put(PASID, index, value);
        rig.publish();
        assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Down));
        let (iommu, pasid) = (0, PASID);
        let illegal = Violation::IllegalElement { iommu, pasid };
        assert_eq!(rig.model.violations(), [illegal], "{index} {value:#x}");
    }
}

/// LPID, TID and AMR are the kernel's choice.
#[test]
fn fields_that_are_free_are_taken_as_they_are() {
    let rig = rig();
    for (index, value) in [(6, 9), (7, 1 << 32 | u64::from(PID)), (13, u64::MAX)] {
        rig.put(PASID, index, value);
    }
    rig.publish();
    assert!(rig.device.read(PAGE).is_ok());
    rig.assert_clean();
}

#[test]
fn validity_that_is_stored_without_a_barrier_comes_first() {
    let fill = |rig: &Rig, in_order: bool| {
        let (pasid, names) = (4, 4 << 44 | u64::from(FUNCTION) << 16);
        rig.put(pasid, 0, CONFIG);
        rig.put(pasid, 1, names);
        rig.put(pasid, 7, PID.into());
        if in_order {
            rig.publish();
        }
        rig.put(pasid, 15, VALID);
        rig.link.device(FUNCTION, pasid).read(PAGE).is_ok()
    };
    assert!(fill(&rig(), true));
    assert!(!fill(&rig(), false));
}

#[test]
fn validity_that_is_taken_back_without_a_barrier_comes_last() {
    let rig = rig();
    rig.put(PASID, 15, 0);
    rig.put(PASID, 0, 0);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Down));
    let (iommu, pasid) = (0, PASID);
    let illegal = Violation::IllegalElement { iommu, pasid };
    assert_eq!(rig.model.violations(), [illegal]);
}

#[test]
fn contexts_of_one_process_share_its_translations() {
    let rig = rig();
    rig.put_element(5, PID);
    let other = rig.link.device(FUNCTION, 5);
    rig.device.read(PAGE).unwrap();
    let held = rig.link.held();
    other.read(PAGE).unwrap();
    assert_eq!(rig.link.held(), held);
    // And another process has its own.
    let tables = rig.model.radix_tables();
    let frame = rig.model.allocate(0x1000);
    tables.map(0, PAGE, Mapping::page(frame, Rights::ReadWrite));
    rig.model.set_process(6, Some(tables.root()));
    rig.put_element(6, 6);
    rig.link.device(FUNCTION, 6).write(PAGE, 9).unwrap();
    assert_eq!(rig.model.peek(frame), 9);
    rig.assert_clean();
}

/// Of 64 KiB pages the whole tree is another.
#[test]
fn trees_of_64_kib_pages_are_walked_as_such() {
    let model = Rig::new(LinkOptions {
        pages_64k: true,
        ..LinkOptions::POWER9
    });
    let tables = model.model.radix_64k_tables();
    let frame = model.model.allocate(0x1_0000);
    tables.map(0, HUGE, Mapping::page(frame, Rights::ReadWrite));
    model.model.set_process(PID, Some(tables.root()));
    model.publish();
    model.device.write(HUGE + 0xf008, 3).unwrap();
    assert_eq!(model.model.peek(frame + 0xf008), 3);
}
