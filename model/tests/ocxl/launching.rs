//! The ATSD registers: big-endian, busy until a poll says otherwise.

use super::rig::*;
use tlb_shootdown::dma::Mmio;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::ocxl::{DeviceFault, LinkOptions};
use tlb_shootdown_model::oracle::Violation;

/// Whether the device still reads the page after a launch.
fn reads_after(word: u64, address: u64) -> bool {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.unmap();
    rig.launch(word, address);
    rig.assert_clean();
    rig.device.read(PAGE).is_ok()
}

#[test]
fn a_launch_drops_the_page_or_the_process_that_it_names() {
    assert!(!reads_after(ONE_PAGE, PAGE));
    assert!(!reads_after(WHOLE, 0));
    // Another page, another size (64 KiB, 2 MiB, 1 GiB), another PID.
    assert!(reads_after(ONE_PAGE, PAGE + 0x1000));
    for size in [5 << 46, 1 << 46, 2 << 46] {
        assert!(reads_after(ONE_PAGE | size, PAGE));
    }
    assert!(reads_after(ONE_PAGE + 0x0200_0000, PAGE));
    assert!(reads_after(WHOLE + 0x0200_0000, 0));
}

#[test]
fn the_published_examples_are_legal() {
    for (word, address) in [
        (0xc004_0000_8400_0000, 0x1000),
        (0xc005_4000_8400_0000, 0x1_0000),
        (0xc00d_4000_8440_0000, 0),
    ] {
        let rig = Rig::new(LinkOptions::POWER10);
        rig.launch(word, address);
        rig.assert_clean();
    }
}

#[test]
fn every_page_size_is_invalidated_by_its_own_code() {
    for (level, size, code) in [(2, 0x20_0000, 1 << 46), (1, 0x4000_0000, 2 << 46)] {
        let rig = Rig::new(LinkOptions::POWER9);
        let pa = rig.model.allocate(size);
        let mapping = Mapping {
            level,
            ..Mapping::page(pa, Rights::ReadOnly)
        };
        let va = 0x40_0000_0000;
        rig.tables.map(0, va, mapping);
        rig.publish();
        rig.device.read(va).unwrap();
        rig.tables.unmap(0, va);
        rig.publish();
        rig.launch(ONE_PAGE, va);
        assert!(rig.device.read(va).is_ok());
        rig.launch(ONE_PAGE | code, va);
        assert_eq!(rig.device.read(va), Err(DeviceFault::NotPresent));
    }
}

/// RIC 2 of a page drops what leads there, and no other page.
#[test]
fn ric_2_of_a_page_drops_the_walk_caches_on_its_way() {
    let rig = Rig::new(LinkOptions::POWER10);
    rig.unmap();
    rig.tables.unhang_table(0, PAGE);
    rig.publish();
    // RIC 0: the walk begins at the table that is cached.
    rig.launch(ONE_PAGE & !(3 << 61), PAGE);
    assert_eq!(rig.link.held(), 3);
    rig.launch(ONE_PAGE, PAGE);
    assert_eq!(rig.link.held(), 0);
}

#[test]
fn an_invalidation_is_under_way_until_a_poll_says_otherwise() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.unmap();
    rig.write(AVA, PAGE);
    rig.write(LNCH, ONE_PAGE);
    assert!(rig.device.read(PAGE).is_ok());
    assert!(rig.pending());
    assert!(rig.device.read(PAGE).is_ok());
    assert!(rig.pending());
    assert!(!rig.pending());
    assert!(rig.device.read(PAGE).is_err());
    let counts = rig.model.take_counts();
    assert_eq!((counts.commands, counts.doorbells), (1, 1));
}

#[test]
fn a_frozen_link_stays_busy_and_a_dead_one_reads_as_ones() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.unmap();
    rig.link.freeze(true);
    rig.write(LNCH, WHOLE);
    assert!((0..100).all(|_| rig.pending()));
    rig.link.freeze(false);
    while rig.pending() {}
    assert!(rig.device.read(PAGE).is_err());
    rig.link.take_down();
    assert_eq!(rig.link.read64(STAT), u64::MAX);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Down));
}

#[test]
fn what_is_written_meanwhile_is_lost_and_reported() {
    for register in [LNCH, AVA] {
        let rig = Rig::new(LinkOptions::POWER9);
        rig.unmap();
        rig.write(AVA, PAGE);
        rig.write(LNCH, ONE_PAGE);
        rig.write(register, 0);
        while rig.pending() {}
        assert!(rig.device.read(PAGE).is_err());
        let iommu = 0;
        let reported = Violation::WrittenWhileRunning { iommu, register };
        assert_eq!(rig.model.violations(), [reported]);
    }
}

#[test]
fn words_without_meaning_are_reported_and_do_nothing() {
    let bit = |manual: u32| 1_u64 << (63 - manual);
    for word in [
        // R or PRS clear, RIC 3, IS 2 and 3, a page size that is none.
        ONE_PAGE & !bit(0),
        ONE_PAGE & !bit(13),
        ONE_PAGE | bit(2),
        ONE_PAGE | bit(11),
        WHOLE | bit(11),
        ONE_PAGE | bit(15),
        // LP, B, L, F, SLBI, and below.
        ONE_PAGE | bit(3),
        ONE_PAGE | bit(10),
        ONE_PAGE | bit(14),
        ONE_PAGE | bit(18),
        WHOLE | bit(39),
        ONE_PAGE | bit(40),
        ONE_PAGE | bit(42),
        ONE_PAGE | bit(63),
        // SINGLETON goes with IS 1.
        ONE_PAGE | bit(41),
        WHOLE & !bit(41),
        // In the other byte order.
        ONE_PAGE.swap_bytes(),
        0,
    ] {
        let rig = Rig::new(LinkOptions::POWER9);
        rig.unmap();
        rig.launch(word, PAGE);
        assert!(rig.device.read(PAGE).is_ok(), "{word:#x}");
        let reported = Violation::IllegalLaunch { iommu: 0, word };
        assert_eq!(rig.model.violations(), [reported]);
    }
    let rig = Rig::new(LinkOptions::POWER9);
    rig.launch(ONE_PAGE, PAGE | 1);
    assert_eq!(rig.model.violations().len(), 1);
}

#[test]
fn halves_of_registers_and_what_is_beyond_do_not_answer() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.unmap();
    rig.link.write32(LNCH, 0x0004_00c0);
    rig.link.write64(4, u64::MAX);
    assert_eq!(rig.link.read32(STAT), u32::MAX);
    assert_eq!(rig.link.read64(0x18), u64::MAX);
    assert!(!rig.pending());
    assert_eq!(rig.link.len(), 24);
    rig.assert_clean();
}
