//! The SMMU: each rule of the manual with the defect that shows when it is broken.

mod rig;

use rig::{LOG2, PAGE, Rig, SUBSTREAM, SYNC, TLBI_PAGE, get, put};
use tlb_shootdown::arch::aarch64::instructions::Instructions;
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::smmuv3::{DeviceFault, DeviceOptions, SmmuOptions};

fn plain() -> Rig {
    Rig::new(SmmuOptions::default(), DeviceOptions::default())
}

fn with_ats() -> Rig {
    let device = DeviceOptions {
        ats: true,
        ..DeviceOptions::default()
    };
    Rig::new(SmmuOptions::default(), device)
}

/// A device that has cached the page read-only, which is then made writable.
fn upgraded(rig: &Rig) {
    rig.device.read(PAGE).unwrap();
    rig.protect(Rights::ReadWrite);
}

#[test]
fn a_cached_right_makes_the_device_fault_until_the_invalidation() {
    let mut rig = plain();
    upgraded(&rig);
    for _ in 0..3 {
        assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    }
    rig.run(&[TLBI_PAGE, SYNC]);
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    assert_eq!(rig.model.peek(rig.frame), 1);
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn a_missing_cmd_sync_leaves_the_device_stale() {
    let mut rig = plain();
    upgraded(&rig);
    rig.run(&[TLBI_PAGE]);
    // Consumed, which means nothing.
    assert_eq!(rig.cons(), 1);
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    let holder = Holder::Iommu(0);
    assert!(
        rig.model
            .violations()
            .contains(&Violation::UsedStale { holder, va: PAGE })
    );
    rig.run(&[SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn nothing_is_done_inside_the_doorbell_write() {
    let mut rig = plain();
    upgraded(&rig);
    rig.ring(&[TLBI_PAGE, SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
}

#[test]
fn a_wrong_asid_leaves_the_entry() {
    let mut rig = plain();
    upgraded(&rig);
    rig.run(&[(0x0006_0000_0000_0012, PAGE), SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
}

#[test]
fn a_wrong_granule_or_level_leaves_the_entry() {
    let mut rig = plain();
    upgraded(&rig);
    // Two pages from PAGE with TG = 64 KiB, with TTL = 2, and with a VMID.
    for command in [
        (0x0005_0000_0010_0012, PAGE | 3 << 10),
        (0x0005_0000_0010_0012, PAGE | 1 << 10 | 2 << 8),
        (0x0005_0001_0000_0012, PAGE),
    ] {
        rig.run(&[command]);
    }
    let illegal_without_stage2 = rig.error_active();
    assert!(!illegal_without_stage2);
    rig.run(&[SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
}

#[test]
fn a_leaf_only_command_leaves_the_walk_caches() {
    let mut rig = plain();
    rig.device.read(PAGE).unwrap();
    let table = rig.tables.unhang_table(0, PAGE).unwrap();
    rig.barriers.publish_tables();
    rig.run(&[(TLBI_PAGE.0, PAGE | 1), SYNC]);
    rig.model.free(table);
    // Through the cached table entry to the freed table.
    assert!(rig.device.read(PAGE).is_ok());
    let freed = |v: &Violation| matches!(v, Violation::WalkedFreed { pa, .. } if *pa == table);
    assert!(rig.model.violations().iter().any(freed));
    rig.run(&[TLBI_PAGE, SYNC]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Translation));
}

#[test]
fn a_cfgi_command_does_not_touch_the_tlb_nor_a_tlbi_the_configuration() {
    let mut rig = plain();
    upgraded(&rig);
    // CFGI_ALL.
    rig.run(&[(0x04, 31), SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    // CD 0 becomes invalid; TLBI_NSNH_ALL does not show it, CFGI_CD does.
    put(&rig.contexts, 0, 0);
    rig.barriers.publish_tables();
    rig.run(&[(0x30, 0), SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    rig.run(&[(0x0000_0003_0000_0005, 1), SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Event(0x0a)));
}

#[test]
fn a_range_too_short_leaves_the_last_page() {
    let mut rig = plain();
    let frame = rig.model.allocate(0x1000);
    for page in [1, 2] {
        let mapping = Mapping::page(frame, Rights::ReadOnly);
        rig.tables.map(0, PAGE + page * 0x1000, mapping);
    }
    rig.barriers.publish_tables();
    for page in 0..3 {
        rig.device.read(PAGE + page * 0x1000).unwrap();
        rig.tables.unmap(0, PAGE + page * 0x1000);
    }
    rig.barriers.publish_tables();
    // SCALE = 1, NUM = 0: two pages.
    rig.run(&[(0x0005_0000_0010_0012, PAGE | 1 << 10), SYNC]);
    assert_eq!(
        rig.device.read(PAGE + 0x1000),
        Err(DeviceFault::Translation)
    );
    assert!(rig.device.read(PAGE + 0x2000).is_ok());
}

#[test]
fn asid_commands_spare_global_entries() {
    let mut rig = plain();
    let mapping = Mapping {
        global: true,
        ..Mapping::page(rig.frame, Rights::ReadOnly)
    };
    rig.tables.map(0, PAGE, mapping);
    rig.barriers.publish_tables();
    upgraded(&rig);
    rig.run(&[(0x0005_0000_0000_0011, 0), SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    // By address, whatever the ASID.
    rig.run(&[(0x0009_0000_0000_0012, PAGE), SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn illegal_commands_stop_the_queue_at_themselves() {
    let no_ats = SmmuOptions {
        ats: false,
        ..SmmuOptions::default()
    };
    let no_ril = SmmuOptions {
        ril: false,
        ..SmmuOptions::default()
    };
    let default = SmmuOptions::default();
    let cases = [
        ("unknown opcode", default, (0x7f, 0)),
        ("SSec in the non-secure queue", default, (0x46 | 1 << 10, 0)),
        ("CS = 3", default, (0x46 | 3 << 12, 0)),
        (
            "NUM = SCALE = TTL = 0 with TG",
            default,
            (0x0005_0000_0000_0012, PAGE | 1 << 10),
        ),
        ("SCALE without TG", default, (0x0005_0000_0010_0012, PAGE)),
        (
            "16 KiB with TTL = 1 and without DS",
            default,
            (0x0005_0000_0000_0012, PAGE | 2 << 10 | 1 << 8),
        ),
        (
            "bit 25 of SCALE without DS",
            default,
            (0x0005_0000_0210_0012, PAGE | 1 << 10),
        ),
        (
            "TG without RIL",
            no_ril,
            (0x0005_0000_0010_0012, PAGE | 1 << 10),
        ),
        (
            "reserved bits of w1",
            default,
            (0x0005_0000_0000_0012, PAGE | 2),
        ),
        ("reserved bits of w0", default, (0x11 | 1 << 20, 0)),
        ("EL2 without Hyp", default, (0x20, 0)),
        ("stage 2 without stage 2", default, (0x28, 0)),
        ("ATC_INV without ATS", no_ats, (0x40 | 3 << 32, 52)),
        (
            "ATC_INV larger than everything",
            default,
            (0x40 | 3 << 32, 53),
        ),
        ("RESUME without stalls", default, (0x44, 0)),
        ("secure opcode", default, (0x50, 0)),
    ];
    for (name, options, command) in cases {
        let mut rig = Rig::new(options, DeviceOptions::default());
        rig.run(&[SYNC, command, SYNC]);
        assert!(rig.error_active(), "{name}");
        assert_eq!(
            rig.cons(),
            1 << 24 | 1,
            "{name}: CERROR_ILL, CONS at the entry"
        );
        // Overwritten with a CMD_SYNC and acknowledged, it goes on.
        put(&rig.queue, 2, SYNC.0);
        put(&rig.queue, 3, SYNC.1);
        rig.barriers.before_doorbell();
        rig.acknowledge();
        rig.smmu.settle();
        assert_eq!(rig.cons(), 3, "{name}");
    }
}

#[test]
fn a_legal_neighbour_of_each_illegal_command_is_taken() {
    let all = SmmuOptions {
        hyp: true,
        stage2: true,
        ds: true,
        ..SmmuOptions::default()
    };
    let mut rig = Rig::new(all, DeviceOptions::default());
    rig.run(&[
        (0x0005_0000_0010_0012, PAGE | 1 << 10),
        (0x0005_0000_0210_0012, PAGE | 1 << 10),
        (0x0005_0000_0000_0012, PAGE | 1 << 10 | 3 << 8),
        (0x20, 0),
        (0x28, 0),
        (0x40 | 3 << 32, 52),
        (0x46 | 2 << 12, 0),
    ]);
    assert_eq!(rig.cons(), 7);
}

#[test]
fn a_fetch_abort_stops_the_queue_and_is_tried_again() {
    let mut rig = plain();
    rig.smmu.abort_next_fetch();
    rig.run(&[SYNC]);
    assert_eq!(rig.cons(), 2 << 24);
    rig.acknowledge();
    rig.smmu.settle();
    assert_eq!(rig.cons(), 1);
}

#[test]
fn the_queue_wraps_and_an_overrun_is_seen() {
    let mut rig = plain();
    for _ in 0..5 {
        rig.run(&[SYNC; 10]);
    }
    // 50 entries in a ring of 16: index 2, wrap bit set.
    assert_eq!(rig.cons(), 50 & ((2 << LOG2) - 1));
    assert_eq!(rig.model.violations(), []);
    rig.ring(&[SYNC; 17]);
    assert_eq!(
        rig.model.violations(),
        [Violation::QueueOverrun { iommu: 0 }]
    );
}

#[test]
fn cons_is_shown_late_and_in_finite_time() {
    let mut rig = plain();
    rig.ring(&[SYNC]);
    let polls = (1..10).find(|_| rig.cons() == 1);
    assert_eq!(polls, Some(2));
}

#[test]
fn entries_are_not_seen_before_the_barrier() {
    let rig = plain();
    put(&rig.queue, 0, SYNC.0);
    put(&rig.queue, 1, SYNC.1);
    rig.smmu.write32(0x98, 1);
    rig.smmu.settle();
    // The device read what was there before: zeroes, which is no command.
    assert_eq!(rig.error(), 1);
}

#[test]
fn a_sync_sends_its_message_after_completion() {
    let mut rig = plain();
    upgraded(&rig);
    let word = rig.model.share(8, 8);
    put(&word, 0, u64::MAX);
    rig.barriers.before_doorbell();
    // CS = 1, MSIData = 0.
    rig.ring(&[TLBI_PAGE, (0x46 | 1 << 12, word.phys().raw())]);
    assert_eq!(get(&word, 0), u64::MAX);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    while get(&word, 0) as u32 != 0 {
        rig.model.step();
    }
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    assert_eq!(get(&word, 0), 0xffff_ffff_0000_0000);
}

#[test]
fn a_message_to_nowhere_raises_its_own_error_and_nothing_else() {
    let mut rig = plain();
    rig.run(&[(0x46 | 1 << 12, 0x10_0000)]);
    assert_eq!(rig.smmu.read32(0x60), 1 << 4);
    assert_eq!(rig.cons(), 1);
}

#[test]
fn commands_between_syncs_are_unordered() {
    let mut rig = with_ats();
    upgraded(&rig);
    // ATC_INV of everything for SSV = 0 in the same stretch as the TLBI: the device asks again in between.
    rig.run(&[TLBI_PAGE, (0x40 | 3 << 32, 52), SYNC]);
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    let holder = Holder::Device(3);
    assert!(
        rig.model
            .violations()
            .contains(&Violation::UsedStale { holder, va: PAGE })
    );
    rig.run(&[TLBI_PAGE, SYNC, (0x40 | 3 << 32, 52), SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn a_device_tlb_is_not_reached_by_tlbi() {
    let mut rig = with_ats();
    upgraded(&rig);
    rig.run(&[TLBI_PAGE, SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    // One page of 4 KiB.
    rig.run(&[(0x40 | 3 << 32, PAGE), SYNC]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_substream_is_flushed_by_its_own_asid_and_number() {
    let mut rig = with_ats();
    let substream = rig.device.substream(SUBSTREAM);
    substream.read(PAGE).unwrap();
    rig.protect(Rights::ReadWrite);
    // The right ASID, and then the wrong substream.
    let wrong = 0x40 | 1 << 11 | 6 << 12 | 3 << 32;
    rig.run(&[(0x0006_0000_0000_0012, PAGE), SYNC, (wrong, 52), SYNC]);
    assert_eq!(substream.write(PAGE, 1), Err(DeviceFault::Permission));
    let right = 0x40 | 1 << 11 | 7 << 12 | 3 << 32;
    rig.run(&[(right, PAGE), SYNC]);
    assert_eq!(substream.write(PAGE, 1), Ok(()));
    assert_eq!(
        rig.device.substream(99).read(PAGE),
        Err(DeviceFault::Event(0x08))
    );
}

#[test]
fn unsupported_requests_complete_without_effect() {
    let few_pasids = DeviceOptions {
        ats: true,
        pasid_bits: 2,
        ..DeviceOptions::default()
    };
    let coarse = DeviceOptions {
        ats: true,
        stu: 4,
        ..DeviceOptions::default()
    };
    let by_substream = 0x40 | 1 << 11 | 7 << 12 | 3 << 32;
    for (options, command) in [
        (few_pasids, (by_substream, 52)),
        (coarse, (by_substream, PAGE)),
    ] {
        let mut rig = Rig::new(SmmuOptions::default(), options);
        let substream = rig.device.substream(SUBSTREAM);
        substream.read(PAGE).unwrap();
        rig.protect(Rights::ReadWrite);
        rig.run(&[(0x0006_0000_0000_0012, PAGE), SYNC, command, SYNC]);
        assert!(!rig.error_active());
        assert_eq!(rig.cons(), 4);
        assert_eq!(substream.write(PAGE, 1), Err(DeviceFault::Permission));
    }
}

#[test]
fn a_silent_device_fails_the_sync_and_then_lets_it_through() {
    let mut rig = with_ats();
    upgraded(&rig);
    rig.device.set_silent(true);
    rig.run(&[TLBI_PAGE, SYNC, (0x40 | 3 << 32, 52), SYNC]);
    assert_eq!(rig.cons(), 3 << 24 | 3);
    rig.acknowledge();
    rig.smmu.settle();
    // The trap: the repeated SYNC succeeds although nothing was invalidated.
    assert_eq!(rig.cons(), 4);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
}

#[test]
fn a_device_that_answers_in_the_end_has_invalidated() {
    let mut rig = with_ats();
    upgraded(&rig);
    rig.device.set_silent(true);
    rig.run(&[TLBI_PAGE, SYNC, (0x40 | 3 << 32, 52), SYNC]);
    rig.device.set_silent(false);
    rig.acknowledge();
    rig.smmu.settle();
    assert_eq!(rig.cons(), 4);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_fault_is_recorded_with_its_stream_and_address() {
    let rig = plain();
    let events = rig.model.share(32 * 8, 0x1000);
    rig.smmu.write64(0xa0, events.phys().raw() | 3);
    rig.smmu.write32(0x20, 0b1101);
    while rig.smmu.read32(0x24) != 0b1101 {}
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    assert_eq!(
        rig.device.read(PAGE + 0x1000),
        Err(DeviceFault::Translation)
    );
    assert_eq!(rig.smmu.read32(0x1_00a8), 2);
    let words: Vec<u64> = (0..8).map(|index| get(&events, index)).collect();
    let read = 1 << 35;
    assert_eq!(
        words,
        [
            0x0000_0003_0000_0013,
            0,
            PAGE,
            0,
            0x0000_0003_0000_0010,
            read,
            PAGE + 0x1000,
            0,
        ]
    );
}

#[test]
fn a_full_event_queue_says_that_records_were_lost() {
    let rig = plain();
    let events = rig.model.share(32 * 2, 0x1000);
    rig.smmu.write64(0xa0, events.phys().raw() | 1);
    rig.smmu.write32(0x20, 0b1101);
    while rig.smmu.read32(0x24) != 0b1101 {}
    for _ in 0..4 {
        assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    }
    // Two records, wrap bit set; OVFLG toggled once.
    assert_eq!(rig.smmu.read32(0x1_00a8), 1 << 31 | 2);
}

/// An SMMU that snoops broadcasts, its device with the page cached, and the CPU's ASID 5 flushed everywhere.
fn after_a_broadcast(aset: u64, ptm: u32) -> Rig {
    let options = SmmuOptions {
        btm: true,
        ..SmmuOptions::default()
    };
    let mut rig = Rig::new(options, DeviceOptions::default());
    // CR2 is written while SMMUEN is clear.
    rig.smmu.write32(0x20, 1 << 3);
    rig.smmu.write32(0x2c, ptm << 2);
    rig.smmu.write32(0x20, 1 << 3 | 1);
    while rig.smmu.read32(0x24) != 0b1001 {}
    let context = get(&rig.contexts, 0) & !(1 << 47) | aset << 47;
    put(&rig.contexts, 0, context);
    rig.barriers.publish_tables();
    rig.run(&[(0x04, 31), SYNC]);
    upgraded(&rig);
    let cpu = ModelInstructions::new(rig.model.clone());
    cpu.tlbi_aside1is(5 << 48);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    cpu.dsb_ish();
    rig
}

#[test]
fn broadcasts_by_asid_reach_shared_contexts_alone_and_none_with_ptm() {
    let device = |rig: Rig| rig.device.write(PAGE, 1);
    assert_eq!(device(after_a_broadcast(0, 0)), Ok(()));
    assert_eq!(
        device(after_a_broadcast(1, 0)),
        Err(DeviceFault::Permission)
    );
    assert_eq!(
        device(after_a_broadcast(0, 1)),
        Err(DeviceFault::Permission)
    );
}

#[test]
fn el2_entries_go_by_el2_commands_and_by_asid_with_e2h_alone() {
    let options = SmmuOptions {
        hyp: true,
        ..SmmuOptions::default()
    };
    let el2_page = (0x0005_0000_0000_0022, PAGE);
    for (e2h, expected) in [(1, Ok(())), (0, Err(DeviceFault::Permission))] {
        let mut rig = Rig::new(options, DeviceOptions::default());
        rig.smmu.write32(0x20, 1 << 3);
        rig.smmu.write32(0x2c, e2h);
        rig.smmu.write32(0x20, 1 << 3 | 1);
        while rig.smmu.read32(0x24) != 0b1001 {}
        // STE.STRW = EL2.
        let strw = get(&rig.streams, 3 * 8 + 1) | 0b10 << 30;
        put(&rig.streams, 3 * 8 + 1, strw);
        rig.barriers.publish_tables();
        rig.run(&[(0x04, 31), SYNC]);
        upgraded(&rig);
        rig.run(&[TLBI_PAGE, (0x0005_0000_0000_0011, 0), SYNC]);
        assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
        rig.run(&[el2_page, SYNC]);
        assert_eq!(rig.device.write(PAGE, 1), expected);
        rig.run(&[(0x20, 0), SYNC]);
        assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    }
}

#[test]
fn a_frame_freed_too_early_is_seen() {
    let mut rig = plain();
    rig.device.read(PAGE).unwrap();
    let frame = rig.tables.unmap(0, PAGE).unwrap();
    rig.barriers.publish_tables();
    rig.model.free(frame);
    let next_owner = rig.model.allocate(0x1000);
    assert_eq!(next_owner, frame);
    rig.device.read(PAGE).unwrap();
    let holder = Holder::Iommu(0);
    assert!(
        rig.model
            .violations()
            .contains(&Violation::UsedFreed { holder, pa: frame })
    );
    rig.run(&[TLBI_PAGE, SYNC]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Translation));
}

#[test]
fn a_queue_not_aligned_to_its_size_is_read_from_elsewhere() {
    let rig = plain();
    rig.smmu.write32(0x20, 1);
    while rig.smmu.read32(0x24) != 1 {}
    let queue = rig.model.share(0x1000, 0x1000);
    put(&queue, 2, SYNC.0);
    rig.barriers.before_doorbell();
    // 16 bytes into a queue of 2^4 entries: the hardware clears those address bits.
    rig.smmu.write64(0x90, (queue.phys().raw() + 0x20) | 4);
    rig.smmu.write32(0x20, 0b1001);
    while rig.smmu.read32(0x24) != 0b1001 {}
    rig.smmu.write32(0x98, 1);
    rig.smmu.settle();
    assert_eq!(rig.error(), 1);
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
        let mut rig = Rig::with_temper(SmmuOptions::default(), device, temper);
        upgraded(&rig);
        rig.run(&[TLBI_PAGE, SYNC, (0x40 | 3 << 32, PAGE), SYNC]);
        rig.returned();
        assert_eq!(rig.device.write(PAGE, 1), Ok(()), "{temper:?}");
        assert_eq!(rig.model.violations(), [], "{temper:?}");
    }
}
