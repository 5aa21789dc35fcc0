use super::{PasidEntry, PasidTable, pasid_table_bytes};
use crate::iommu::test_memory::{Cleaned, region};

/// P, AW = 2 and PGTT = 1 (VT-d 9.6).
const CONTROL: u64 = 0x49;
/// FPD instead of P.
const SILENT: u64 = 0x4a;

const ENTRY: PasidEntry = PasidEntry {
    control: CONTROL,
    domain: 0x80_0007,
    root: 0x5020,
};

/// A table for 128 PASIDs: a page of directory and two of entries. Where the CPU finds it, too.
fn table() -> (PasidTable, usize) {
    let region = region(0x10_0000, 0x3000);
    let base = region.virt().as_ptr() as usize;
    (PasidTable::new(region, 7, 48).unwrap(), base)
}

/// 64 entries to a page, 512 pages to a page of directory (VT-d 9.5).
#[test]
fn bytes() {
    assert_eq!(pasid_table_bytes(0), 0x2000);
    assert_eq!(pasid_table_bytes(6), 0x2000);
    assert_eq!(pasid_table_bytes(7), 0x3000);
    assert_eq!(pasid_table_bytes(15), 0x20_1000);
    assert_eq!(pasid_table_bytes(16), 0x40_2000);
    assert_eq!(pasid_table_bytes(20), 0x402_0000);
}

#[test]
fn the_directory_leads_to_every_page_of_entries() {
    let region = region(0x100_0000, 0x40_2000);
    let table = PasidTable::new(region, 16, 48).unwrap();
    for page in [0, 1, 511, 512, 1023] {
        let phys = 0x100_2000 + 0x1000 * page as u64;
        assert_eq!(table.table.load(page), phys | 1, "page {page}");
    }
    table.install(0xffff, &ENTRY, &Cleaned::default(), true);
    assert_eq!(table.table.load(0x40_2000 / 8 - 8), CONTROL);
}

#[test]
fn an_entry_is_written_and_cleaned_alone() {
    let (table, base) = table();
    let cleaned = Cleaned::default();
    table.install(3, &ENTRY, &cleaned, false);
    assert_eq!(cleaned.take(base), [(0x10c0, 64), (0x10c0, 64)]);
    table.install(65, &ENTRY, &cleaned, true);
    assert_eq!(cleaned.take(base), [], "coherent");
    for at in [0x10c0 / 8, 0x2040 / 8] {
        let words = core::array::from_fn(|word| table.table.load(at + word));
        assert_eq!(words, [CONTROL, 0x80_0007, 0x5020, 0, 0, 0, 0, 0]);
    }
    table.clear(3, &cleaned, false);
    assert_eq!(cleaned.take(base), [(0x10c0, 64)]);
    let words = core::array::from_fn(|word| table.table.load(0x10c0 / 8 + word));
    assert_eq!(words, [2, 0, 0, 0, 0, 0, 0, 0], "FPD stays");
    assert_eq!(table.table.load(0x2040 / 8), CONTROL);
    table.clean(&cleaned);
    assert_eq!(cleaned.take(base), [(0, 0x3000)]);
}

#[test]
fn silencing_twice_is_silencing_once() {
    let (table, _) = table();
    let none = Cleaned::default();
    table.install(3, &ENTRY, &none, true);
    for _ in 0..2 {
        table.silence(3, &none, true);
        assert_eq!(table.table.load(0x10c0 / 8), SILENT);
    }
    table.silence(4, &none, true);
    assert_eq!(table.table.load(0x1100 / 8), 0, "there was none");
}
