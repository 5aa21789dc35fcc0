//! What no emulator shows of devices: message completion, device TLBs, substreams, silence; and each cured by the library.

use crate::iommu::Iommu;
use crate::rig::{Parts, Process, Rig};
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::error::FlushError;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::Completion;
use tlb_shootdown::secondary::SecondaryError;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::smmuv3::{DeviceFault, DeviceOptions, SmmuOptions};

const VA: u64 = 0x40_0000;
const STREAM: u32 = 3;
const WITH_ATS: DeviceOptions = DeviceOptions {
    ats: true,
    stu: 0,
    pasid_bits: 20,
    refills: true,
};

fn tempers() -> impl Iterator<Item = Temper> {
    let seeded = (0..20).map(Temper::Seeded);
    seeded.chain([Temper::Late, Temper::Kind])
}

/// A process of one read-only page, and where the page is.
fn process(rig: &Rig) -> (Process, u64) {
    let process = rig.process();
    let frame = rig.model.allocate(0x1000);
    process
        .tables
        .map(0, VA, Mapping::page(frame, Rights::ReadOnly));
    rig.switch(0, &process);
    rig.publish();
    rig.returned(&process);
    (process, frame)
}

fn page() -> Flush {
    Flush::page(VirtAddr::new(VA), PageSize::KIB_4)
}

/// A device that has cached the page, which is then made writable; what a write gives with and without the flush.
fn upgrade(temper: Temper, completion: Completion, options: DeviceOptions, substream: Option<u32>) {
    let rig = Rig::new(Parts::new(temper));
    let iommu = Iommu::new(&rig, SmmuOptions::default(), completion);
    let device = iommu.add_device(STREAM, options);
    let (process, frame) = process(&rig);
    iommu.attach(&rig, &process, STREAM, substream);
    let device = match substream {
        Some(raw) => device.substream(raw),
        None => device,
    };
    device.read(VA).unwrap();
    process.tables.protect(0, VA, Rights::ReadWrite);
    if temper == Temper::Late {
        rig.publish();
        assert_eq!(device.write(VA, 7), Err(DeviceFault::Permission));
    }
    rig.engine.flush_upgrade(process.space, page()).unwrap();
    rig.returned(&process);
    assert_eq!(device.write(VA, 7), Ok(()), "{temper:?}");
    assert_eq!(rig.model.peek(frame), 7);
    assert_eq!(rig.model.violations(), [], "{temper:?}");
}

#[test]
fn promise_09_an_upgrade_reaches_a_device() {
    for temper in tempers() {
        upgrade(temper, Completion::Poll, DeviceOptions::default(), None);
    }
}

#[test]
fn promise_03_completion_by_message_is_completion() {
    for temper in tempers() {
        upgrade(temper, Completion::Msi, DeviceOptions::default(), None);
        upgrade(temper, Completion::Msi, WITH_ATS, Some(5));
    }
}

#[test]
fn promise_03_a_device_tlb_is_flushed_after_its_iommu() {
    for temper in tempers() {
        upgrade(temper, Completion::Poll, WITH_ATS, None);
    }
}

#[test]
fn promise_03_a_substream_is_flushed_by_its_own_number() {
    for temper in tempers() {
        upgrade(temper, Completion::Poll, WITH_ATS, Some(5));
        upgrade(temper, Completion::Poll, DeviceOptions::default(), Some(7));
    }
}

#[test]
fn promise_11_substreams_of_other_spaces_keep_their_entries() {
    let rig = Rig::new(Parts::new(Temper::Late));
    let iommu = Iommu::new(&rig, SmmuOptions::default(), Completion::Poll);
    let device = iommu.add_device(STREAM, WITH_ATS);
    let ((one, _), (two, _)) = (process(&rig), process(&rig));
    iommu.attach(&rig, &one, STREAM, Some(1));
    iommu.attach(&rig, &two, STREAM, Some(2));
    device.substream(1).read(VA).unwrap();
    device.substream(2).read(VA).unwrap();
    assert_eq!(device.held(), 2);
    one.tables.unmap(0, VA);
    rig.engine.flush(one.space, page()).unwrap();
    rig.returned(&one);
    assert_eq!(device.held(), 1);
    assert_eq!(device.substream(1).read(VA), Err(DeviceFault::Translation));
    assert!(device.substream(2).read(VA).is_ok());
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn promise_04_frames_come_free_when_the_device_has_let_go() {
    for temper in tempers() {
        let rig = Rig::new(Parts::new(temper));
        let iommu = Iommu::new(&rig, SmmuOptions::default(), Completion::Poll);
        let device = iommu.add_device(STREAM, WITH_ATS);
        let (process, frame) = process(&rig);
        iommu.attach(&rig, &process, STREAM, None);
        device.read(VA).unwrap();
        process.tables.unmap(0, VA);
        let sink = rig.sink();
        let mut frames = Frames::inline::<1>(&sink);
        let base = PhysAddr::new(frame);
        let size = PageSize::KIB_4;
        frames.push(Item::Frame { base, size }).unwrap();
        let ticket = rig.engine.start(process.space, page()).unwrap();
        let ticket = ticket.holding(frames);
        // Still in use, and not yet anybody else's.
        assert_ne!(rig.model.allocate(0x1000), frame);
        assert!(ticket.wait().is_ok());
        rig.returned(&process);
        assert_eq!(rig.model.allocate(0x1000), frame);
        assert_eq!(device.read(VA), Err(DeviceFault::Translation));
        assert_eq!(rig.model.violations(), [], "{temper:?}");
    }
}

#[test]
fn promise_04_a_silent_device_is_named_and_what_it_may_use_stays_owned() {
    let rig = Rig::new(Parts::new(Temper::Late));
    let iommu = Iommu::new(&rig, SmmuOptions::default(), Completion::Poll);
    let silent = iommu.add_device(STREAM, WITH_ATS);
    let other = iommu.add_device(STREAM + 1, WITH_ATS);
    let (one, _) = process(&rig);
    iommu.attach(&rig, &one, STREAM, None);
    iommu.attach(&rig, &one, STREAM + 1, None);
    silent.read(VA).unwrap();
    other.read(VA).unwrap();
    silent.set_silent(true);
    one.tables.unmap(0, VA);
    let failed = rig.engine.flush(one.space, page());
    let Err(FlushError::Incomplete(incomplete)) = failed else {
        panic!("the silent device was believed: {failed:?}");
    };
    let device = STREAM;
    assert_eq!(
        incomplete.error,
        Some(SecondaryError::DeviceTimeout { device })
    );
    assert_eq!(other.read(VA), Err(DeviceFault::Translation));

    // Another space on the same queue is served as ever.
    let (two, _) = process(&rig);
    let third = iommu.add_device(STREAM + 2, WITH_ATS);
    iommu.attach(&rig, &two, STREAM + 2, None);
    third.read(VA).unwrap();
    two.tables.unmap(0, VA);
    rig.engine.flush(two.space, page()).unwrap();
    assert_eq!(third.read(VA), Err(DeviceFault::Translation));
}

#[test]
fn promise_05_a_full_ring_loses_nothing() {
    for temper in tempers() {
        let rig = Rig::new(Parts::new(temper));
        let options = SmmuOptions {
            ril: false,
            ..SmmuOptions::default()
        };
        let iommu = Iommu::new(&rig, options, Completion::Poll);
        let device = iommu.add_device(STREAM, WITH_ATS);
        let process = rig.process();
        iommu.attach(&rig, &process, STREAM, None);
        rig.switch(0, &process);
        // Without range commands 40 pages are 40 commands, and the ring has 16 places.
        let pages = || (0..40).map(|page| VA + page * 0x1000);
        let frame = rig.model.allocate(0x1000);
        for page in pages() {
            process
                .tables
                .map(0, page, Mapping::page(frame, Rights::ReadOnly));
        }
        rig.publish();
        for page in pages() {
            device.read(page).unwrap();
        }
        for page in pages() {
            process.tables.unmap(0, page);
        }
        let range = PageRange::from_len(VirtAddr::new(VA), 40 * 0x1000, PageSize::KIB_4);
        let flush = Flush::pages(range.unwrap());
        rig.engine.flush(process.space, flush).unwrap();
        rig.returned(&process);
        for page in pages() {
            assert_eq!(device.read(page), Err(DeviceFault::Translation));
        }
        assert_eq!(rig.model.violations(), [], "{temper:?}");
    }
}

#[test]
fn promise_10_a_released_space_is_silent_and_a_detached_one_clean() {
    for temper in tempers() {
        let rig = Rig::new(Parts::new(temper));
        let iommu = Iommu::new(&rig, SmmuOptions::default(), Completion::Poll);
        let device = iommu.add_device(STREAM, WITH_ATS);
        let (process, _) = process(&rig);
        let attached = iommu.attach(&rig, &process, STREAM, None);
        device.read(VA).unwrap();
        assert!(rig.engine.retire(process.space).unwrap().wait().is_ok());
        rig.returned(&process);
        // The table is still as it was, and nobody walks it.
        assert_eq!(device.read(VA), Err(DeviceFault::Translation));
        rig.model.free(process.tables.root());
        iommu.detach(&rig, &process, attached);
        assert!(device.read(VA).is_err());
        assert_eq!(rig.model.violations(), [], "{temper:?}");
    }
}

#[test]
fn promise_03_two_iommus_are_both_told_and_both_waited_for() {
    for temper in tempers() {
        let rig = Rig::new(Parts::new(temper));
        let iommus = [(); 2].map(|()| {
            let iommu = Iommu::new(&rig, SmmuOptions::default(), Completion::Poll);
            let device = iommu.add_device(STREAM, DeviceOptions::default());
            (iommu, device)
        });
        let (process, _) = process(&rig);
        for (iommu, device) in &iommus {
            iommu.attach(&rig, &process, STREAM, None);
            device.read(VA).unwrap();
        }
        process.tables.unmap(0, VA);
        rig.model.take_counts();
        let cost = rig.engine.flush(process.space, page()).unwrap();
        let counts = rig.model.take_counts();
        assert_eq!(
            (cost.commands, cost.syncs, cost.doorbells),
            (counts.commands, counts.syncs, counts.doorbells)
        );
        assert_eq!((cost.commands, cost.syncs, cost.doorbells), (2, 2, 2));
        for (_, device) in &iommus {
            assert_eq!(device.read(VA), Err(DeviceFault::Translation));
        }
        rig.returned(&process);
        assert_eq!(rig.model.violations(), [], "{temper:?}");
    }
}
