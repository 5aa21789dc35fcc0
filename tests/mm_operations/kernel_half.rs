//! The kernel's own mappings, and the tables that they were in.

use crate::harness::{KERNEL, Kernel, Machine, P, Q, Spent, meets_kernel, table_range};
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::change::{PutOff, Reason, Told};
use tlb_shootdown::secondary::Needs;
use tlb_shootdown::ticket::Item;
use tlb_shootdown_model::memory::descriptor::Rights::ReadWrite;

/// vfree: pages go at leisure, in one flush of all that lies between them, of which no device is told: it has no access through them. Their
/// table goes after: that concerns an IOMMU which walks a root with the kernel's half (Linux tells it since 6.19).
pub(crate) fn vmalloc<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(KERNEL, M::KERNEL, 4, PageSize::KIB_4, ReadWrite);
    if meets_kernel(k.beside(), M::FORMAT) {
        let half = k.tables_at(KERNEL, M::KERNEL, 0);
        for process in [P, Q] {
            k.hang(process, M::KERNEL, 0, &half);
        }
    }
    k.warm(KERNEL, &pages);
    k.settle(P);
    k.settle(Q);
    // An access of the device is refused, and leaves what leads there in walk caches.
    k.device_reads(P, M::KERNEL + 0x10_0000, None);
    k.begin();
    let decision = k.decide(Reason::KernelMapping, PutOff::UntilReuse);
    assert_eq!(decision.told(), Told::None);
    pages.iter().for_each(|page| k.unmap(KERNEL, page));
    k.is_put_off(&decision, KERNEL, &pages);
    let frames: Vec<Item> = pages.iter().map(|page| page.item()).collect();
    let range = PageRange::from_len(VirtAddr::new(M::KERNEL), 4 << 12, PageSize::KIB_4).unwrap();
    k.flush_kernel(KERNEL, &decision, range, &frames);
    k.has_freed(&pages, &[]);
    k.maps_nothing(KERNEL, &pages);

    let decision = k.decide(Reason::KernelTableFreed, PutOff::UntilReuse);
    assert_eq!(decision.told(), Told::Needing(Needs::KERNEL_TABLES));
    let tables = k.unhang(KERNEL, M::KERNEL);
    let items: Vec<Item> = tables
        .iter()
        .map(|&table| Item::Table {
            base: PhysAddr::new(table),
        })
        .collect();
    k.flush_kernel_tables(KERNEL, &decision, table_range(M::KERNEL), &items);
    k.has_freed(&pages, &tables);
    k.device_reads(P, M::KERNEL + 0x10_0000, None);
    // Four pages and then everything, on four CPUs of x86-64. An IOMMU that is told drops everything: all PASIDs, and device TLBs.
    let is_told = meets_kernel(k.beside(), M::FORMAT);
    let commands = if is_told { [0, 3, 3, 0] } else { [0; 4] };
    k.has_spent(Spent {
        rounds: 2,
        without_device: if is_told { 1 } else { 2 },
        ..Spent::once([2, 20, 6], [0, 6, 0], commands)
    });
    k.maps_nothing(KERNEL, &pages);
}
