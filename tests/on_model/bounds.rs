//! Promise 11 on the model: what a flush of a range takes along beside the range.

use crate::iommu::Iommu;
use crate::property::properties;
use crate::rig::{Parts, Rig};
use proptest::prelude::*;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::Completion;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::smmuv3::{DeviceOptions, SmmuOptions};

const VA: u64 = 0x4000_0000;
const PAGES: u64 = 96;

/// How many entries of pages a CPU, the SMMU and the device lose to one flush of `count` pages from `first`.
fn lost(first: u64, count: u64, ril: bool) -> [u64; 3] {
    let rig = Rig::new(Parts::new(Temper::Late));
    let options = SmmuOptions {
        ril,
        cmdqs: 10,
        ..SmmuOptions::default()
    };
    let iommu = Iommu::with_queue(&rig, options, Completion::Poll, 16 * 512);
    // A device that asks for nothing again, so that what it lost can be counted.
    let ats = DeviceOptions {
        ats: true,
        refills: false,
        ..DeviceOptions::default()
    };
    let device = iommu.add_device(3, ats);
    let process = rig.process();
    iommu.attach(&rig, &process, 3, None);
    rig.switch(0, &process);
    rig.switch(1, &process);
    let frame = rig.model.allocate(0x1000);
    for page in 0..PAGES {
        let mapping = Mapping::page(frame, Rights::ReadOnly);
        process.tables.map(0, VA + page * 0x1000, mapping);
    }
    rig.publish();
    for page in 0..PAGES {
        rig.cpu(1).read(VA + page * 0x1000).unwrap();
        device.read(VA + page * 0x1000).unwrap();
    }
    let held = || [rig.cpu(1).held(), iommu.port.held(), device.held()];
    let before = held();
    let start = VirtAddr::new(VA + first * 0x1000);
    let range = PageRange::from_len(start, count * 0x1000, PageSize::KIB_4).unwrap();
    let flush = Flush::pages(range).leaf_only().leaf_size(PageSize::KIB_4);
    let cost = rig.engine.flush(process.space, flush).unwrap();
    assert_eq!(cost.escalations, 0);
    let after = held();
    [0, 1, 2].map(|observer| (before[observer] - after[observer]) as u64)
}

properties! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promise_11_a_range_takes_little_along(
        (first, count) in (0..PAGES).prop_flat_map(|first| (Just(first), 1..=PAGES - first)),
        ril in any::<bool>(),
    ) {
        let [cpu, smmu, device] = lost(first, count, ril);
        prop_assert_eq!(cpu, count);
        let most = if ril { count + 1 } else { count };
        prop_assert!((count..=most).contains(&smmu), "SMMU: {}", smmu);
        prop_assert!((count..=2 * count).contains(&device), "device: {}", device);
    }
}
