use super::super::ids::DomainId;
use super::{DeviceTableEntry, Gcr3Root};

/// 48882 2.2.2; Linux `DTE_*`; VirtualBox `DTE_T`.
#[test]
fn host_entries() {
    let root = 0xf_edcb_a987_6000;
    let entry = DeviceTableEntry::host(root, 4, DomainId(0xabcd), true);
    assert_eq!(entry.words(), [0x600f_edcb_a987_6803, 0x1_0000_abcd, 0, 0]);
    let entry = DeviceTableEntry::host(0x1000, 6, DomainId(1), false);
    assert_eq!(entry.words(), [0x6000_0000_0000_1c03, 1, 0, 0]);
}

/// The GCR3 root is split over three fields: bits 14:12, 30:15 and 51:31.
#[test]
fn guest_entries() {
    let root = |root, levels, guest_levels, refuse_untagged| Gcr3Root {
        root,
        levels,
        guest_levels,
        refuse_untagged,
    };
    let all = root(0xf_ffff_ffff_f000, 3, 5, true);
    assert_eq!(
        DeviceTableEntry::guest(&all, DomainId(2), true).words(),
        [
            0x7ec0_0000_0000_0003,
            0xffff_f801_ffff_0002,
            0x0040_0000_0000_0000,
            0
        ]
    );
    for (bit, words) in [
        (12, [0x6480_0000_0000_0003, 2]),
        (14, [0x7080_0000_0000_0003, 2]),
        (15, [0x6080_0000_0000_0003, 0x1_0002]),
        (30, [0x6080_0000_0000_0003, 0x8000_0002]),
        (31, [0x6080_0000_0000_0003, 0x800_0000_0002]),
        (51, [0x6080_0000_0000_0003, 0x8000_0000_0000_0002]),
    ] {
        let entry = DeviceTableEntry::guest(&root(1 << bit, 1, 4, false), DomainId(2), false);
        assert_eq!(entry.words(), [words[0], words[1], 0, 0], "bit {bit}");
    }
}

/// V and TV with neither a table nor a right.
#[test]
fn refusing_entries_are_valid() {
    assert_eq!(DeviceTableEntry::REFUSE.words(), [3, 0, 0, 0]);
}
