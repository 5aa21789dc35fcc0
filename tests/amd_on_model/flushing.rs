//! What a flush owes the devices, in every way of translation and on every temper.

use crate::rig::{BASE, KINDS, Kind, PASID, Rig, SHARED, pages, tempers};
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::amd::{AmdOptions, DeviceFault};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::Violation;

#[test]
fn promise_09_an_upgrade_reaches_device_and_device_tlb() {
    for temper in tempers() {
        for kind in KINDS {
            let rig = Rig::new(temper);
            let process = rig.process(1, kind, 1);
            let page = process.page(0);
            process.device.read(page).unwrap();
            process.tables.protect(0, page, Rights::ReadWrite);
            rig.upgrade(&process, 0);
            assert_eq!(process.device.write(page, 7), Ok(()), "{temper:?} {kind:?}");
            rig.assert_clean((temper, kind));
        }
    }
}

/// The control: without the notice the device goes on faulting.
#[test]
fn an_upgrade_without_the_notice_is_never_seen() {
    for kind in KINDS {
        let rig = Rig::new(Temper::Late);
        let process = rig.process(1, kind, 1);
        let page = process.page(0);
        process.device.read(page).unwrap();
        process.tables.protect(0, page, Rights::ReadWrite);
        rig.publish();
        let denied = Err(DeviceFault::Permission);
        assert_eq!(process.device.write(page, 7), denied, "{kind:?}");
    }
}

#[test]
fn promise_03_a_frame_is_free_once_the_flush_has_returned() {
    for temper in tempers() {
        for (kind, count) in KINDS.into_iter().zip([1, 7, 5, 33]) {
            let rig = Rig::new(temper);
            let process = rig.process(1, kind, count + 2);
            for n in 0..count + 2 {
                process.device.read(process.page(n)).unwrap();
            }
            let frames: Vec<_> = (1..=count)
                .map(|n| process.tables.unmap(0, process.page(n)).unwrap())
                .collect();
            rig.flush(&process, 1, count);
            for frame in frames {
                rig.model.free(frame);
            }
            for n in 1..=count {
                let read = process.device.read(process.page(n));
                assert_eq!(read, Err(DeviceFault::NotPresent), "{temper:?}");
            }
            assert!(process.device.read(process.page(0)).is_ok());
            rig.assert_clean((temper, kind));
        }
    }
}

/// The control: without the flush the freed frame is used, and the machine says so.
#[test]
fn a_frame_freed_without_a_flush_is_used() {
    for kind in KINDS {
        let rig = Rig::new(Temper::Late);
        let process = rig.process(1, kind, 1);
        process.device.read(process.page(0)).unwrap();
        let frame = process.tables.unmap(0, process.page(0)).unwrap();
        rig.publish();
        rig.model.free(frame);
        assert!(process.device.read(process.page(0)).is_ok());
        let freed = |violation: &Violation| matches!(violation, Violation::UsedFreed { pa, .. } if *pa == frame);
        assert!(rig.model.violations().iter().any(freed), "{kind:?}");
    }
}

#[test]
fn promise_04_frames_come_free_when_the_device_has_let_go() {
    for temper in tempers() {
        let rig = Rig::new(temper);
        let process = rig.process(1, SHARED, 1);
        process.device.read(BASE).unwrap();
        let frame = process.tables.unmap(0, BASE).unwrap();
        let sink = rig.sink();
        let mut frames = Frames::inline::<1>(&sink);
        let base = PhysAddr::new(frame);
        let size = PageSize::KIB_4;
        frames.push(Item::Frame { base, size }).unwrap();
        let ticket = rig.engine.start(&process.space, pages(&process, 0, 1));
        let ticket = ticket.unwrap().holding(frames);
        // Still in use, and not yet anybody else's.
        assert_ne!(rig.model.allocate(0x1000), frame);
        assert!(ticket.wait().is_ok());
        rig.returned(&process, 0, 1);
        assert_eq!(rig.model.allocate(0x1000), frame);
        assert_eq!(process.device.read(BASE), Err(DeviceFault::NotPresent));
        rig.assert_clean(temper);
    }
}

#[test]
fn promise_08_a_freed_table_is_walked_by_nobody() {
    for temper in tempers() {
        for kind in KINDS {
            let rig = Rig::new(temper);
            let process = rig.process(1, kind, 4);
            process.device.read(process.page(2)).unwrap();
            let table = process.tables.unhang_table(0, BASE).unwrap();
            // The whole of what the table covered.
            rig.flush(&process, 0, 512);
            rig.model.free(table);
            let read = process.device.read(process.page(2));
            assert_eq!(read, Err(DeviceFault::NotPresent));
            rig.assert_clean((temper, kind));
        }
    }
}

#[test]
fn promise_03_a_pasid_over_16_bits_is_flushed_by_all_of_its_bits() {
    let wide = Kind {
        pasid: Some(0x1_0000 | PASID),
        ats: true,
    };
    for temper in tempers().take(6) {
        let rig = Rig::new(temper);
        let process = rig.process(1, wide, 2);
        // The same low 16 bits on the same device, and nothing of it is flushed.
        let narrow = Kind {
            pasid: Some(PASID),
            ats: true,
        };
        let other = rig.process_on(1, narrow, 1);
        process.device.read(BASE).unwrap();
        other.device.read(BASE).unwrap();
        let frame = process.tables.unmap(0, BASE).unwrap();
        rig.flush(&process, 0, 1);
        rig.model.free(frame);
        assert_eq!(process.device.read(BASE), Err(DeviceFault::NotPresent));
        assert!(other.device.read(BASE).is_ok());
        rig.assert_clean(temper);
    }
}

#[test]
fn promise_11_other_processes_keep_what_their_devices_hold() {
    let rig = Rig::new(Temper::Late);
    let one = rig.process(1, SHARED, 1);
    let neighbour = Kind {
        pasid: Some(PASID + 1),
        ats: true,
    };
    let two = rig.process_on(1, neighbour, 1);
    let three = rig.process(2, SHARED, 1);
    for process in [&one, &two, &three] {
        process.device.read(BASE).unwrap();
    }
    assert_eq!((two.device.held(), three.device.held()), (2, 1));
    one.tables.unmap(0, BASE);
    rig.flush(&one, 0, 1);
    assert_eq!((two.device.held(), three.device.held()), (1, 1));
    rig.assert_clean(());
}

#[test]
fn promise_10_released_and_detached_means_silent() {
    for temper in tempers() {
        for kind in KINDS {
            let rig = Rig::new(temper);
            let mut process = rig.process(1, kind, 2);
            let other = rig.process(2, kind, 2);
            process.device.read(process.page(0)).unwrap();
            other.device.read(other.page(0)).unwrap();
            rig.engine.release(&process.space).unwrap();
            rig.model.returned(process.tables.root(), 0, u64::MAX);
            // The tables are as they were, and nobody walks them; nor does a flush follow.
            assert!(process.device.read(process.page(0)).is_err());
            assert!(process.device.read(process.page(1)).is_err());
            let frame = process.tables.unmap(0, process.page(0)).unwrap();
            rig.model.returned(process.tables.root(), 0, u64::MAX);
            rig.model.free(frame);
            assert!(process.device.read(process.page(0)).is_err());
            assert!(other.device.read(other.page(0)).is_ok());
            rig.detach(&mut process);
            rig.model.free(process.tables.root());
            assert!(process.device.read(process.page(1)).is_err());
            rig.assert_clean((temper, kind));
        }
    }
}

#[test]
fn promise_07_the_next_space_in_the_same_place_sees_nothing_old() {
    for temper in tempers() {
        for kind in KINDS {
            let rig = Rig::new(temper);
            let mut old = rig.process(1, kind, 1);
            old.device.read(BASE).unwrap();
            rig.detach(&mut old);
            rig.model.returned(old.tables.root(), 0, u64::MAX);
            let new = rig.process_on(1, kind, 0);
            let frame = rig.model.allocate(0x1000);
            rig.model.poke(frame, 0x1234);
            new.tables
                .map(0, BASE, Mapping::page(frame, Rights::ReadOnly));
            rig.publish();
            assert_eq!(new.device.read(BASE), Ok(0x1234), "{temper:?} {kind:?}");
            rig.assert_clean((temper, kind));
        }
    }
}

#[test]
fn promise_02_a_device_that_asked_too_early_is_served_once_it_is_attached() {
    for temper in tempers() {
        for kind in KINDS {
            let rig = Rig::new(temper);
            rig.add_device(1, kind);
            let early = match kind.pasid {
                Some(pasid) => rig.port.device(1).pasid(pasid),
                None => rig.port.device(1),
            };
            assert!(early.read(BASE).is_err());
            let process = rig.process_on(1, kind, 1);
            assert_eq!(process.device.read(BASE), Ok(0), "{temper:?} {kind:?}");
            rig.assert_clean((temper, kind));
        }
    }
}

#[test]
fn promise_03_under_snp_completions_arrive() {
    let options = AmdOptions {
        snp: true,
        ..AmdOptions::default()
    };
    for temper in tempers() {
        let rig = Rig::with(temper, options);
        let process = rig.process(1, KINDS[2], 1);
        process.device.read(BASE).unwrap();
        process.tables.unmap(0, BASE);
        rig.flush(&process, 0, 1);
        assert!(process.device.read(BASE).is_err());
        rig.assert_clean(temper);
    }
}

#[test]
fn promise_03_everything_of_a_space_goes() {
    for temper in tempers() {
        for kind in KINDS {
            let rig = Rig::new(temper);
            let process = rig.process(1, kind, 3);
            for n in 0..3 {
                process.device.read(process.page(n)).unwrap();
                process.tables.unmap(0, process.page(n));
            }
            rig.engine.flush(&process.space, Flush::all()).unwrap();
            rig.model.returned(process.tables.root(), 0, u64::MAX);
            for n in 0..3 {
                assert!(process.device.read(process.page(n)).is_err());
            }
            rig.assert_clean((temper, kind));
        }
    }
}
