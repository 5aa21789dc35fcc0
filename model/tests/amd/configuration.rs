//! Device table and GCR3 table: what is cached, what is refused, and how a refusal is recorded.

use crate::rig::{
    CONTROL, DEVICE, DEVICE_ENTRY, HOST_DEVICE, PAGE, PASID, PASID_ALL, PASID_PAGE, Rig,
    eventually, put,
};
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown_model::amd::{AmdOptions, DeviceFault, DeviceOptions};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::Violation;

#[test]
fn a_root_is_cached_until_its_whole_pasid_goes_with_its_directories() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.put_root(0);
    rig.barriers.publish_tables();
    let page = (PASID_PAGE.0, (PAGE + 0x1000) | 6);
    // One page of it, everything without the directories, and the device table entry: the root stays.
    for command in [page, (PASID_ALL.0, PASID_ALL.1 & !2), DEVICE_ENTRY] {
        rig.run(&[command]);
        assert!(rig.device.read(PAGE).is_ok(), "{command:x?}");
    }
    rig.run(&[PASID_ALL]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
}

#[test]
fn a_root_that_was_absent_is_cached_where_the_option_says_so() {
    for caches_absent_roots in [false, true] {
        let options = AmdOptions {
            caches_absent_roots,
            ..AmdOptions::default()
        };
        let mut rig = Rig::new(options, DeviceOptions::default());
        rig.put_root(0);
        rig.barriers.publish_tables();
        assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
        rig.put_root(rig.tables.root() | 1);
        rig.barriers.publish_tables();
        assert_eq!(rig.device.read(PAGE).is_err(), caches_absent_roots);
        rig.run(&[PASID_ALL]);
        assert!(rig.device.read(PAGE).is_ok());
    }
}

#[test]
fn a_root_is_valid_without_reserved_bits() {
    for (root, valid) in [
        (1, true),
        (0, false),
        (1 | 1 << 1, false),
        (1 | 1 << 52, false),
    ] {
        let rig = Rig::plain();
        rig.put_root(rig.tables.root() | root);
        rig.barriers.publish_tables();
        assert_eq!(rig.device.read(PAGE).is_ok(), valid, "{root:#x}");
    }
}

#[test]
fn a_device_table_entry_is_cached_until_its_command() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    let [word, domain] = rig.entry(DEVICE);
    // TV clear.
    rig.put_entry(DEVICE, [word & !2, domain]);
    rig.barriers.publish_tables();
    rig.run(&[PASID_ALL]);
    assert!(rig.device.read(PAGE).is_ok());
    rig.run(&[(0x2000_0000_0000_0030, 0)]);
    assert!(rig.device.read(PAGE).is_ok());
    rig.run(&[DEVICE_ENTRY]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
}

/// What becomes of a device table entry, and then of a read.
type Case = (
    &'static str,
    fn([u64; 2]) -> [u64; 2],
    Result<u64, DeviceFault>,
);

#[test]
fn entries_decide_who_is_translated() {
    let cases: [Case; 8] = [
        ("V clear: untranslated", |[a, b]| [a & !1, b], Ok(0x77)),
        (
            "TV clear",
            |[a, b]| [a & !2, b],
            Err(DeviceFault::NotPresent),
        ),
        (
            "GV clear",
            |[a, b]| [a & !(1 << 55), b],
            Err(DeviceFault::Event(8)),
        ),
        (
            "reserved bit 2",
            |[a, b]| [a | 1 << 2, b],
            Err(DeviceFault::Event(1)),
        ),
        (
            "GLX = 3",
            |[a, b]| [a | 1 << 56, b],
            Err(DeviceFault::Event(1)),
        ),
        (
            "GLX = 0: the PASID is out of range",
            |[a, b]| [a & !(2 << 56), b],
            Err(DeviceFault::NotPresent),
        ),
        (
            "mode 5",
            |[a, b]| [a | 5 << 9, b],
            Err(DeviceFault::Event(1)),
        ),
        ("as it was", |entry| entry, Ok(0)),
    ];
    for (name, change, expected) in cases {
        let mut rig = Rig::plain();
        // Where a table of one level has the low nine bits of the PASID.
        put(&rig.gcr3, 0x145, rig.tables.root() | 1);
        rig.put_entry(DEVICE, change(rig.entry(DEVICE)));
        rig.barriers.publish_tables();
        rig.run(&[DEVICE_ENTRY]);
        rig.model.poke(PAGE, 0x77);
        assert_eq!(rig.device.read(PAGE), expected, "{name}");
    }
}

#[test]
fn a_device_beyond_the_table_is_refused() {
    let rig = Rig::plain();
    let device = rig.iommu.add_device(0x80, DeviceOptions::default());
    assert_eq!(device.read(PAGE), Err(DeviceFault::Event(1)));
    // One more page of table, and its entry is zero: not valid, untranslated.
    let table = rig.model.share(0x2000, 0x1000);
    rig.iommu.write64(0x00, table.phys().raw() | 1);
    assert_eq!(device.read(PAGE), Ok(0));
}

#[test]
fn host_translation_heeds_the_rights_of_the_entry_and_its_length() {
    let mut rig = Rig::plain();
    let [word, domain] = rig.entry(HOST_DEVICE);
    // 48 bits.
    assert_eq!(
        rig.host_device.read(PAGE | 1 << 48),
        Err(DeviceFault::NotPresent)
    );
    // IR clear.
    rig.put_entry(HOST_DEVICE, [word & !(1 << 61), domain]);
    rig.barriers.publish_tables();
    rig.run(&[(0x2000_0000_0000_0030, 0)]);
    assert_eq!(rig.host_device.read(PAGE), Err(DeviceFault::Permission));
    // IW clear.
    rig.protect(Rights::ReadWrite);
    rig.put_entry(HOST_DEVICE, [word & !(1 << 62), domain]);
    rig.barriers.publish_tables();
    rig.run(&[(0x2000_0000_0000_0030, 0), (8 << 60, 0)]);
    assert!(rig.host_device.read(PAGE).is_ok());
    let write = rig.host_device.write(PAGE, 1);
    assert_eq!(write, Err(DeviceFault::Permission));
}

#[test]
fn guest_addresses_are_canonical_and_pages_are_the_users() {
    let rig = Rig::plain();
    assert!(rig.device.read(PAGE).is_ok());
    let beyond = rig.device.read(PAGE | 1 << 48);
    assert_eq!(beyond, Err(DeviceFault::NotPresent));
    let rig = Rig::plain();
    let leaf = (0..3).fold(rig.tables.root(), |table, level| {
        let index = PAGE >> (39 - 9 * level) & 0x1ff;
        rig.model.peek(table + index * 8) & 0x000f_ffff_ffff_f000
    });
    let at = leaf + (PAGE >> 12 & 0x1ff) * 8;
    // U/S clear.
    rig.model.poke(at, rig.model.peek(at) & !(1 << 2));
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Permission));
}

#[test]
fn guest_tables_of_five_levels_need_the_feature_and_the_mode() {
    let address = 1 << 50;
    for (guest_levels, expected) in [(4, Err(DeviceFault::Event(1))), (5, Ok(0))] {
        let options = AmdOptions {
            guest_levels,
            ..AmdOptions::default()
        };
        let mut rig = Rig::new(options, DeviceOptions::default());
        let tables = rig.model.x86_la57_tables();
        tables.map(0, address, Mapping::page(rig.frame, Rights::ReadOnly));
        rig.put_root(tables.root() | 1);
        let [first, second] = rig.entry(DEVICE);
        rig.put_entry(DEVICE, [first, second, 1 << 54]);
        rig.barriers.publish_tables();
        rig.run(&[DEVICE_ENTRY, PASID_ALL]);
        assert_eq!(rig.device.read(address), expected);
    }
}

#[test]
fn malformed_entries_of_host_tables_are_faults() {
    let table = |rig: &Rig, level: u32| {
        (0..level).fold(rig.host_tables.root(), |table, level| {
            let index = PAGE >> (39 - 9 * level) & 0x1ff;
            rig.model.peek(table + index * 8) & 0x000f_ffff_ffff_f000
        })
    };
    // The level counted from the root, and the bits that are cleared and set in its entry.
    let cases = [
        (3, 1, 0),
        (3, 1 << 61, 0),
        (3, 0, 1 << 52),
        (3, 0, 7 << 9),
        (2, 1 << 62, 0),
        (1, 2 << 9, 1 << 9),
        (0, 7 << 9, 0),
    ];
    for (level, cleared, set) in cases {
        let rig = Rig::plain();
        let index = PAGE >> (39 - 9 * level) & 0x1ff;
        let at = table(&rig, level) + index * 8;
        rig.model.poke(at, rig.model.peek(at) & !cleared | set);
        let read = rig.host_device.read(PAGE);
        assert_eq!(read, Err(DeviceFault::NotPresent), "level {level}");
    }
}

#[test]
fn requests_without_a_pasid_are_those_of_pasid_0_where_giov_is_set() {
    let mut rig = Rig::plain();
    let plain = rig.iommu.add_device(DEVICE, DeviceOptions::default());
    // Without it they are not translated: there is no host table.
    rig.model.poke(PAGE, 5);
    assert_eq!(plain.read(PAGE), Ok(5));
    let giov = |rig: &mut Rig| {
        let [word, domain] = rig.entry(DEVICE);
        rig.put_entry(DEVICE, [word | 1 << 54, domain]);
        rig.barriers.publish_tables();
        rig.run(&[DEVICE_ENTRY]);
    };
    giov(&mut rig);
    assert_eq!(plain.read(PAGE), Err(DeviceFault::NotPresent));
    let without = AmdOptions {
        giov: false,
        ..AmdOptions::default()
    };
    let mut rig = Rig::new(without, DeviceOptions::default());
    giov(&mut rig);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Event(1)));
}

#[test]
fn pasids_need_gten_and_bits() {
    let few = AmdOptions {
        pasid_bits: 16,
        ..AmdOptions::default()
    };
    let rig = Rig::new(few, DeviceOptions::default());
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::NotPresent));
    let rig = Rig::plain();
    rig.iommu.write64(0x18, CONTROL & !(1 << 16));
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Event(1)));
    // Untranslated altogether.
    rig.iommu.write64(0x18, 0);
    rig.model.poke(PAGE, 9);
    assert_eq!(rig.device.read(PAGE), Ok(9));
}

#[test]
fn a_fault_is_recorded_with_its_device_pasid_and_address() {
    let rig = Rig::plain();
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    assert_eq!(
        rig.host_device.read(PAGE + 0x1000),
        Err(DeviceFault::NotPresent)
    );
    assert_eq!(PASID, 0x1_2345);
    assert_eq!(
        rig.logged(),
        [
            // GN, RW and PE; the PASID in two pieces.
            (0x2061_2345_0001_0028, PAGE),
            (0x2000_0009_0000_0030, PAGE + 0x1000),
        ]
    );
}

#[test]
fn a_base_and_a_head_are_written_while_their_queue_stands_alone() {
    let rig = Rig::plain();
    for register in [0x08, 0x10, 0x2000, 0x2018] {
        rig.iommu.write64(register, 0);
        let violation = Violation::WrittenWhileRunning { iommu: 0, register };
        assert_eq!(rig.model.violations(), [violation]);
    }
    rig.iommu.write64(0x18, 0);
    eventually(|| rig.iommu.read64(0x2020) == 0);
    for register in [0x2000, 0x2018, 0x08, 0x10] {
        rig.iommu.write64(register, 0);
    }
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn features_say_what_is_there() {
    let rig = Rig::plain();
    // PPRSup, GTSup, IASup, GLXSup = 2, PASmax = 19, GIOSup.
    assert_eq!(rig.iommu.read64(0x30), 0x0001_0013_0000_8052);
    assert_eq!(rig.iommu.read32(0x30), 0x8052);
    assert_eq!(rig.iommu.read32(0x34), 0x1_0013);
    assert_eq!(rig.iommu.capability(), 0x0900_000f);
    let bare = AmdOptions {
        iotlb: false,
        gt: false,
        ppr: false,
        ia: false,
        iotlb_types: true,
        giov: false,
        snp: true,
        ..AmdOptions::default()
    };
    let rig = Rig::new(bare, DeviceOptions::default());
    assert_eq!(rig.iommu.read64(0x30), 1 << 63 | 1 << 54);
    assert_eq!(rig.iommu.capability(), 0x0800_000f);
}
