use super::super::ids::Pasid;
use super::{Gcr3Table, len, levels};
use crate::address::PhysAddr;
use crate::dma::DmaRegion;
use crate::iommu::test_memory::Coherent;
use std::alloc::{Layout, alloc_zeroed};
use std::ptr::NonNull;

fn region(len: usize) -> DmaRegion {
    let layout = Layout::from_size_align(len, 4096).unwrap();
    // SAFETY: no length here is 0.
    let virt = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
    // SAFETY: never freed, and this test's alone.
    unsafe { DmaRegion::new(virt, PhysAddr::new(virt.as_ptr() as u64), len) }
}

/// As Linux `__get_gcr3_pte` walks: 9 bits of PASID for each level, from the top.
fn walk(root: u64, levels: u8, pasid: u32) -> u64 {
    let mut entry = root | 1;
    for level in (0..u32::from(levels)).rev() {
        assert_eq!(entry & 0xfff, 1, "a table");
        let index = pasid >> (9 * level) & 0x1ff;
        let at = (entry & !0xfff) + 8 * u64::from(index);
        // SAFETY: entries lead to pages of the region.
        entry = unsafe { (at as *const u64).read_volatile() };
    }
    entry
}

#[test]
fn sizes() {
    let golden = [
        (1, 1, 4096),
        (9, 1, 4096),
        (10, 2, 3 * 4096),
        (16, 2, 129 * 4096),
        (18, 2, 513 * 4096),
        (19, 3, (1 + 2 + 1024) * 4096),
        (20, 3, (1 + 4 + 2048) * 4096),
    ];
    for (bits, depth, bytes) in golden {
        assert_eq!((levels(bits), len(bits)), (depth, bytes), "{bits} bits");
    }
}

#[test]
fn every_pasid_has_an_entry_of_its_own() {
    for bits in [1, 9, 10, 16, 18, 19, 20] {
        let table = Gcr3Table::new(region(len(bits)), bits, 52).unwrap();
        let last = (1u32 << bits) - 1;
        let samples = [0, 1, 511, 512, 513, 0x3ffff, 0x40000, last];
        let pasids = || samples.into_iter().filter(|&pasid| pasid <= last);
        for pasid in pasids() {
            let root = PhysAddr::new(u64::from(pasid + 1) << 12);
            table.install(Pasid::new(pasid).unwrap(), root, &Coherent);
        }
        for pasid in pasids() {
            let entry = walk(table.phys(), table.levels(), pasid);
            assert_eq!(
                entry,
                u64::from(pasid + 1) << 12 | 1,
                "{bits} bits, {pasid:#x}"
            );
        }
        table.clear(Pasid::new(last).unwrap(), &Coherent);
        assert_eq!(walk(table.phys(), table.levels(), last), 0);
        assert!(table.contains(Pasid::new(last).unwrap()));
        assert!(Pasid::new(last + 1).is_none_or(|pasid| !table.contains(pasid)));
    }
}
