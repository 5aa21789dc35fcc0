//! What each command is bound to remove, and what it leaves.

use crate::rig::{HOST_PAGE, PAGE, PASID_ALL, PASID_PAGE, Rig};
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::amd::{AmdOptions, DeviceFault, DeviceOptions};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::{Holder, Violation};

const DENIED: Result<(), DeviceFault> = Err(DeviceFault::Permission);

/// Whether the process's device writes after these commands and a wait.
fn after(commands: &[(u64, u64)]) -> Result<(), DeviceFault> {
    let mut rig = Rig::plain();
    rig.upgraded();
    let wait = rig.wait();
    rig.run(commands);
    rig.run(&[wait]);
    assert_eq!(rig.stored(), 1);
    rig.device.write(PAGE, 1)
}

#[test]
fn a_cached_right_makes_the_device_fault_until_the_invalidation() {
    let mut rig = Rig::plain();
    rig.upgraded();
    for _ in 0..3 {
        assert_eq!(rig.device.write(PAGE, 1), DENIED);
        assert_eq!(rig.host_device.write(PAGE, 1), DENIED);
    }
    let wait = rig.wait();
    rig.run(&[PASID_PAGE, HOST_PAGE, wait]);
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    assert_eq!(rig.model.peek(rig.frame), 1);
    assert_eq!(rig.host_device.write(PAGE, 2), Ok(()));
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn a_stale_entry_after_the_flush_returned_is_a_violation() {
    let rig = Rig::plain();
    rig.upgraded();
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), DENIED);
    let holder = Holder::Iommu(0);
    let violations = rig.model.violations();
    assert!(violations.contains(&Violation::UsedStale { holder, va: PAGE }));
    assert!(violations.contains(&Violation::HeldStale { holder, va: PAGE }));
}

#[test]
fn another_domain_another_pasid_and_the_other_gn_leave_the_entry() {
    assert_eq!(after(&[PASID_PAGE]), Ok(()));
    assert_eq!(after(&[(0x3000_0004_0001_2345, PAGE | 6)]), DENIED);
    // 16 bits of a PASID are not enough.
    assert_eq!(after(&[(0x3000_0003_0000_2345, PAGE | 6)]), DENIED);
    assert_eq!(after(&[(0x3000_0003_0000_0000, PAGE | 2)]), DENIED);
    assert_eq!(
        after(&[(0x3000_0003_0000_0000, 0x7fff_ffff_ffff_f003)]),
        DENIED
    );
}

#[test]
fn gn_1_leaves_host_translations_and_gn_0_takes_those_of_the_domain() {
    for (command, expected) in [
        (HOST_PAGE, Ok(())),
        ((0x3000_0009_0000_0000, 0x7fff_ffff_ffff_f003), Ok(())),
        ((0x3000_0009_0000_0000, PAGE | 6), DENIED),
        ((0x3000_0008_0000_0000, PAGE | 2), DENIED),
    ] {
        let mut rig = Rig::plain();
        rig.upgraded();
        rig.run(&[command]);
        assert_eq!(rig.host_device.write(PAGE, 1), expected, "{command:x?}");
    }
}

#[test]
fn the_lowest_zero_bit_gives_the_size() {
    for (w1, expected) in [
        // S = 0: the page alone.
        (PAGE | 6, Ok(())),
        ((PAGE + 0x1000) | 6, DENIED),
        // S = 1, bit 12 clear: 8 KiB.
        (PAGE | 7, Ok(())),
        ((PAGE + 0x2000) | 7, DENIED),
        // Bits 13:12 set, bit 14 clear: 32 KiB from the aligned base.
        ((PAGE + 0x3000) | 7, Ok(())),
        ((PAGE + 0xb000) | 7, DENIED),
        // Bits 21:12 set, bit 22 set: the zero is bit 23, 16 MiB at 0.
        (0x7f_f000 | 7, Ok(())),
        // The zero is bit 22: 8 MiB at 0, which holds PAGE.
        (0x3f_f000 | 7, Ok(())),
        // The zero is bit 21: 4 MiB at 0, which ends below PAGE.
        (0x1f_f000 | 7, DENIED),
        // The zero is bit 63, and there is none.
        (0x7fff_ffff_ffff_f007, Ok(())),
        (0xffff_ffff_ffff_f007, Ok(())),
        // The zero is bit 62, upper half: sign-extended or not, PAGE lies in the lower one.
        (0xbfff_ffff_ffff_f007, DENIED),
    ] {
        assert_eq!(after(&[(0x3000_0003_0001_2345, w1)]), expected, "{w1:#x}");
    }
}

#[test]
fn without_pde_the_directories_stay() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    let table = rig.tables.unhang_table(0, PAGE).unwrap();
    rig.barriers.publish_tables();
    rig.run(&[(PASID_PAGE.0, PAGE | 4)]);
    rig.model.free(table);
    // Through the cached directory entry to the freed table.
    assert!(rig.device.read(PAGE).is_ok());
    let freed = |v: &Violation| matches!(v, Violation::WalkedFreed { pa, .. } if *pa == table);
    assert!(rig.model.violations().iter().any(freed));
    rig.run(&[PASID_PAGE]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
}

#[test]
fn a_range_too_short_leaves_the_last_page() {
    let mut rig = Rig::plain();
    let page = |n: u64| PAGE + n * 0x1000;
    for n in 0..3 {
        rig.tables
            .map(0, page(n), Mapping::page(rig.frame, Rights::ReadOnly));
    }
    rig.barriers.publish_tables();
    for n in 0..3 {
        rig.device.read(page(n)).unwrap();
        rig.tables.unmap(0, page(n));
    }
    rig.barriers.publish_tables();
    rig.run(&[(PASID_PAGE.0, PAGE | 7)]);
    assert_eq!(rig.device.read(page(1)), Err(DeviceFault::NotPresent));
    assert!(rig.device.read(page(2)).is_ok());
}

#[test]
fn invalidate_iommu_all_leaves_nothing() {
    let mut rig = Rig::plain();
    rig.upgraded();
    rig.put_root(0);
    rig.put_entry(crate::rig::HOST_DEVICE, [0b11, 9]);
    rig.run(&[(8 << 60, 0)]);
    assert_eq!(rig.iommu.held(), 0);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
    assert_eq!(rig.host_device.read(PAGE), Err(DeviceFault::Permission));
}

#[test]
fn a_frame_freed_too_early_is_seen() {
    for host in [false, true] {
        let mut rig = Rig::plain();
        let (device, tables) = if host {
            (rig.host_device.clone(), rig.host_tables.clone())
        } else {
            (rig.device.clone(), rig.tables.clone())
        };
        device.read(PAGE).unwrap();
        let frame = tables.unmap(0, PAGE).unwrap();
        rig.barriers.publish_tables();
        rig.model.free(frame);
        assert_eq!(rig.model.allocate(0x1000), frame);
        device.read(PAGE).unwrap();
        let holder = Holder::Iommu(0);
        let violations = rig.model.violations();
        assert!(violations.contains(&Violation::UsedFreed { holder, pa: frame }));
        rig.run(&[PASID_PAGE, HOST_PAGE]);
        assert_eq!(device.read(PAGE), Err(DeviceFault::NotPresent));
    }
}

#[test]
fn blocks_of_host_tables_are_translated_and_dropped_whole() {
    let mut rig = Rig::plain();
    let block = rig.model.allocate(0x20_0000);
    rig.model.poke(block + 0x1f_f000, 7);
    let base = 0x4000_0000;
    let mapping = Mapping {
        level: 2,
        ..Mapping::page(block, Rights::ReadOnly)
    };
    rig.host_tables.map(0, base, mapping);
    rig.barriers.publish_tables();
    assert_eq!(rig.host_device.read(base + 0x1f_f000), Ok(7));
    rig.host_tables.unmap(0, base);
    rig.barriers.publish_tables();
    // One page within is less than the entry covers. S, and bits 19:12 set: 2 MiB.
    rig.run(&[(HOST_PAGE.0, (base + 0x3000) | 2)]);
    assert_eq!(rig.host_device.read(base + 0x1f_f000), Ok(7));
    rig.run(&[(HOST_PAGE.0, base | 0xff000 | 3)]);
    assert_eq!(rig.host_device.read(base), Err(DeviceFault::NotPresent));
}

#[test]
fn every_temper_completes_what_is_asked_for() {
    let tempers = (0..50)
        .map(Temper::Seeded)
        .chain([Temper::Kind, Temper::Late]);
    for temper in tempers {
        let device = DeviceOptions {
            ats: true,
            ..DeviceOptions::default()
        };
        let mut rig = Rig::with_temper(AmdOptions::default(), device, temper);
        rig.upgraded();
        let (first, second) = (rig.wait(), rig.wait());
        rig.run(&[PASID_ALL, HOST_PAGE, first]);
        rig.run(&[
            (0x4145_0028_2023_0028, 0x7fff_ffff_ffff_f005),
            (0x4000_0030_2000_0030, PAGE),
            second,
        ]);
        assert_eq!(rig.stored(), 2);
        rig.returned();
        assert_eq!(rig.device.write(PAGE, 1), Ok(()), "{temper:?}");
        assert_eq!(rig.host_device.write(PAGE, 1), Ok(()), "{temper:?}");
        assert_eq!(rig.model.violations(), [], "{temper:?}");
    }
}
