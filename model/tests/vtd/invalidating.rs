//! What each descriptor removes, and what it leaves.

use crate::rig::{CACHE_INV, PAGE, PAGE_INV, PASID, PASID_INV, RID_PASID, Rig};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::vtd::{DeviceFault, DeviceOptions, VtdOptions};

#[test]
fn a_cached_right_makes_the_device_fault_until_the_invalidation() {
    for descriptor in [
        PAGE_INV,
        PASID_INV,
        // Eight pages around it, and with the hint that no table has changed.
        (PAGE_INV.0, PAGE | 3),
        (PAGE_INV.0, PAGE | 1 << 6),
        // IOTLB: everything, and domain 1.
        (0x12, 0),
        (0x0001_00e2, 0),
    ] {
        let mut rig = Rig::plain();
        rig.upgrade();
        for _ in 0..3 {
            assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
        }
        rig.complete(&[descriptor]);
        rig.returned();
        assert_eq!(rig.device.write(PAGE, 1), Ok(()), "{descriptor:x?}");
        assert_eq!(rig.model.peek(rig.frame), 1);
        rig.assert_clean();
    }
}

#[test]
fn what_names_something_else_leaves_the_entry() {
    for descriptor in [
        // Another domain, PASID and page.
        (0x0000_0123_0002_0036, PAGE),
        (0x0000_0122_0001_0036, PAGE),
        (PAGE_INV.0, PAGE + 0x1000),
        // Another domain, and one page of the second stage.
        (0x0002_0022, 0),
        (0x0001_0032, PAGE),
        // PASID cache, context cache, and interrupt entries.
        (0x37, 0),
        (0x11, 0),
        (0x04, 0),
    ] {
        let mut rig = Rig::plain();
        rig.upgrade();
        rig.complete(&[descriptor]);
        assert_eq!(
            rig.device.write(PAGE, 1),
            Err(DeviceFault::Permission),
            "{descriptor:x?}"
        );
        rig.returned();
        let held = Violation::HeldStale {
            holder: Holder::Iommu(0),
            va: PAGE,
        };
        assert!(rig.model.violations().contains(&held));
    }
}

#[test]
fn a_leaf_only_descriptor_leaves_the_walk_caches() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    let table = rig.tables.unhang_table(0, PAGE).unwrap();
    rig.publish();
    rig.complete(&[(PAGE_INV.0, PAGE | 1 << 6)]);
    rig.model.free(table);
    assert!(rig.device.read(PAGE).is_ok());
    let freed = |v: &Violation| matches!(v, Violation::WalkedFreed { pa, .. } if *pa == table);
    assert!(rig.model.violations().iter().any(freed));
    rig.complete(&[PAGE_INV]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
}

#[test]
fn an_address_that_is_not_aligned_to_its_mask_need_not_remove_anything() {
    let mut rig = Rig::plain();
    let odd = PAGE + 0x1000;
    rig.tables
        .map(0, odd, Mapping::page(rig.frame, Rights::ReadOnly));
    rig.publish();
    rig.device.read(odd).unwrap();
    rig.tables.unmap(0, odd);
    rig.publish();
    rig.complete(&[(PAGE_INV.0, odd | 1)]);
    assert!(rig.device.read(odd).is_ok());
    rig.complete(&[(PAGE_INV.0, PAGE | 1)]);
    assert_eq!(rig.device.read(odd), Err(DeviceFault::NotPresent));
}

#[test]
fn a_unit_that_walks_again_sees_an_upgrade_by_itself() {
    let options = VtdOptions {
        rewalks: true,
        ..VtdOptions::default()
    };
    let rig = Rig::new(options, DeviceOptions::default());
    rig.upgrade();
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    rig.returned();
    rig.assert_clean();
}

#[test]
fn entries_are_tagged_by_pasid() {
    let mut rig = Rig::plain();
    let other = rig.model.x86_tables();
    let frame = rig.model.allocate(0x1000);
    rig.model.poke(frame, 0x22);
    other.map(0, PAGE, Mapping::page(frame, Rights::ReadOnly));
    rig.put_pasid(PASID + 2, other.root());
    rig.publish();
    let second = rig.device.pasid(PASID + 2);
    rig.model.poke(rig.frame, 0x11);
    assert_eq!(rig.device.read(PAGE), Ok(0x11));
    assert_eq!(second.read(PAGE), Ok(0x22));
    rig.tables.unmap(0, PAGE);
    other.unmap(0, PAGE);
    rig.publish();
    rig.complete(&[PASID_INV]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
    assert_eq!(second.read(PAGE), Ok(0x22));
    rig.complete(&[(0x0000_0125_0001_0026, 0)]);
    assert_eq!(second.read(PAGE), Err(DeviceFault::NotPresent));
}

#[test]
fn requests_without_a_pasid_run_under_the_contexts_own() {
    let mut rig = Rig::plain();
    let device = rig.unit.add_device(0x0208, DeviceOptions::default());
    rig.model.poke(rig.frame, 0x33);
    assert_eq!(device.read(PAGE), Ok(0x33));
    rig.tables.unmap(0, PAGE);
    rig.publish();
    rig.complete(&[PASID_INV]);
    assert_eq!(device.read(PAGE), Ok(0x33));
    rig.complete(&[(u64::from(RID_PASID) << 32 | 0x0001_0026, 0)]);
    assert_eq!(device.read(PAGE), Err(DeviceFault::NotPresent));
}

#[test]
fn global_pages_are_ordinary_to_a_first_stage() {
    let mut rig = Rig::plain();
    let va = 0xffff_8000_0000_0000;
    let frame = rig.model.allocate(0x20_0000);
    let mapping = Mapping {
        level: 2,
        global: true,
        ..Mapping::page(frame, Rights::ReadOnly)
    };
    rig.tables.map(0, va, mapping);
    rig.publish();
    rig.device.read(va + 0x1000).unwrap();
    rig.tables.unmap(0, va);
    rig.publish();
    assert!(rig.device.read(va + 0x1000).is_ok());
    rig.complete(&[PASID_INV]);
    rig.model.returned(rig.tables.root(), va, va + 0x1f_ffff);
    assert_eq!(rig.device.read(va + 0x1000), Err(DeviceFault::NotPresent));
    rig.assert_clean();
}

#[test]
fn the_pasid_cache_alone_forgets_a_pasid_entry() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.clear_pasid(PASID);
    rig.complete(&[PASID_INV, CACHE_INV_OF_ANOTHER_DOMAIN]);
    // The cached entry still leads to the table.
    assert!(rig.device.read(PAGE).is_ok());
    rig.complete(&[CACHE_INV]);
    rig.complete(&[PASID_INV]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x59)));
}

const CACHE_INV_OF_ANOTHER_DOMAIN: (u64, u64) = (0x0000_0123_0002_0017, 0);

#[test]
fn without_a_wait_between_the_tlb_refills_from_a_dying_pasid_entry() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.clear_pasid(PASID);
    // Late does the last first: the TLB, and then, after one more access, the PASID cache.
    let wait = rig.wait(7);
    rig.ring(&[CACHE_INV, PASID_INV, wait]);
    for _ in 0..20 {
        if rig.unit.held() > 0 {
            rig.unit.step();
        }
    }
    rig.device.read(PAGE).unwrap();
    rig.unit.settle();
    assert_eq!(rig.status(), 7);
    assert!(rig.unit.held() > 0);
}

#[test]
fn five_levels_are_walked_where_the_pasid_entry_says_so() {
    let mut rig = Rig::plain();
    let tables = rig.model.x86_la57_tables();
    let va = 0x0012_3456_7890_0000 & 0x00ff_ffff_ffff_f000;
    tables.map(0, va, Mapping::page(rig.frame, Rights::ReadOnly));
    rig.put_pasid(PASID, tables.root() | 1 << 2);
    rig.publish();
    assert_eq!(rig.device.read(va), Ok(0));
    rig.put_pasid(PASID, tables.root());
    rig.publish();
    rig.complete(&[CACHE_INV]);
    assert_eq!(rig.device.read(va), Err(DeviceFault::Reason(0x80)));
}
