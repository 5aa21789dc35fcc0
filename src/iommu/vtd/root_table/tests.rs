use super::{ContextEntry, Mode, RootTable, SourceId, Table};
use crate::iommu::test_memory::{Cleaned, region};

const ENTRY: ContextEntry = ContextEntry {
    first: 0x7000_5001,
    second: 0x302,
};

/// A root table at 64 KiB with two pages for context tables at 1 MiB, and where the CPU finds those.
fn tables(mode: Mode) -> (RootTable, usize, usize) {
    let (root, pages) = (region(0x1_0000, 0x1000), region(0x10_0000, 0x2000));
    let places = [&root, &pages].map(|region| region.virt().as_ptr() as usize);
    let root = Table::new(root, 0x1000, 0x1000, 48).unwrap();
    let pages = Table::new(pages, 0x2000, 0x1000, 48).unwrap();
    (RootTable::new(root, pages, 2, mode), places[0], places[1])
}

/// VT-d 9.1 and 9.3: 16 bytes for each bus, 16 for each function; the second half of a root entry is reserved.
#[test]
fn legacy_mode_has_a_table_for_each_bus() {
    let (mut tables, ..) = tables(Mode::Legacy);
    let none = Cleaned::default();
    for device in [0x0308, 0x03ff, 0x0410] {
        assert!(tables.write(SourceId(device), ENTRY, &none, true).is_some());
    }
    assert_eq!(tables.root.load(6), 0x10_0001, "bus 3");
    assert_eq!(tables.root.load(8), 0x10_1001, "bus 4");
    for at in [2 * 0x08, 2 * 0xff, 512 + 2 * 0x10] {
        let entry = [tables.pages.load(at), tables.pages.load(at + 1)];
        assert_eq!(entry, [0x7000_5001, 0x302]);
    }
    assert!(tables.write(SourceId(0x0500), ENTRY, &none, true).is_none());
    tables.set(SourceId(0x0500), ENTRY, &none, true);
    assert_eq!(tables.root.load(10), 0);
    let written = (0..1024).filter(|&word| tables.pages.load(word) != 0);
    assert_eq!(written.count(), 6);
}

/// VT-d 9.2 and 9.4: each half of a root entry leads to 128 entries of 32 bytes.
#[test]
fn scalable_mode_has_a_table_for_each_half_of_a_bus() {
    let (mut tables, ..) = tables(Mode::Scalable);
    let none = Cleaned::default();
    for device in [0x0305, 0x0381] {
        assert!(tables.write(SourceId(device), ENTRY, &none, true).is_some());
    }
    assert_eq!(tables.root.load(6), 0x10_0001, "functions 0 to 127");
    assert_eq!(tables.root.load(7), 0x10_1001, "functions 128 to 255");
    for at in [4 * 5, 512 + 4] {
        let entry = [tables.pages.load(at), tables.pages.load(at + 1)];
        assert_eq!(entry, [0x7000_5001, 0x302]);
    }
}

#[test]
fn what_is_written_is_cleaned_where_the_unit_does_not_snoop() {
    let (mut tables, root, pages) = tables(Mode::Legacy);
    let cleaned = Cleaned::default();
    let _ = tables.write(SourceId(0x0308), ENTRY, &cleaned, true);
    assert_eq!(cleaned.take(0), [], "coherent");
    let _ = tables.write(SourceId(0x0410), ENTRY, &cleaned, false);
    let all = cleaned.take(pages);
    assert_eq!(all[0], ((root + 64).wrapping_sub(pages), 8));
    // The word with P comes last, and goes first.
    assert_eq!(all[1..], [(4096 + 264, 8), (4096 + 256, 8)]);
    tables.set(SourceId(0x0410), ContextEntry::ABSENT, &cleaned, false);
    assert_eq!(cleaned.take(pages), [(4096 + 256, 8), (4096 + 264, 8)]);
    tables.clean(&cleaned);
    let all = cleaned.take(root);
    assert_eq!(all, [(0, 0x1000), (pages.wrapping_sub(root), 0x2000)]);
}

/// P cleared and FPD set, VT-d 9.3.
#[test]
fn silencing_twice_is_silencing_once() {
    let (mut tables, ..) = tables(Mode::Legacy);
    let none = Cleaned::default();
    let _ = tables.write(SourceId(0x0308), ENTRY, &none, true);
    for _ in 0..2 {
        tables.silence(SourceId(0x0308), &none, true);
        assert_eq!(tables.pages.load(16), 0x7000_5002);
        assert_eq!(tables.pages.load(17), 0x302);
    }
    tables.silence(SourceId(0x0309), &none, true);
    assert_eq!(tables.pages.load(18), 0, "there was none");
}

/// VT-d 9.4: P 0, DTE 2, PASIDE 3, PRE 4, PDTS 11:9.
#[test]
fn entries_of_scalable_mode() {
    let first = |pasid_bits, device_tlb, page_requests| {
        let entry = ContextEntry::scalable(0x5000, pasid_bits, device_tlb, page_requests);
        assert_eq!(entry.second, 0);
        entry.first
    };
    assert_eq!(first(0, false, false), 0x5001);
    assert_eq!(first(1, false, false), 0x5009);
    assert_eq!(first(13, true, false), 0x500d);
    assert_eq!(first(14, false, true), 0x5219);
    assert_eq!(first(20, true, true), 0x5e1d);
}

#[test]
fn only_p_is_presence() {
    assert!(ENTRY.is_present());
    assert!(!ContextEntry::ABSENT.is_present());
    assert!(!ContextEntry::SILENT.is_present());
    let absent = ContextEntry {
        first: !1,
        second: 0,
    };
    assert!(!absent.is_present());
}
