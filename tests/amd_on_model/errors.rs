//! Halted buffers, aborted fetches, devices that do not answer, logs that are full: nothing lost, nothing believed, everybody named.

use crate::rig::{BASE, KINDS, PASID, Process, Rig, SHARED, context, tempers};
use tlb_shootdown::error::FlushError;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::amd::AttachError;
use tlb_shootdown::secondary::SecondaryError;
use tlb_shootdown::ticket::Ticket;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::amd::{AmdOptions, DeviceFault};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::platform::{ModelPlatform, PlainArch};

/// Bit 3 of the second word is reserved in every command but COMPLETION_WAIT.
const RESERVED: [u64; 2] = [0, 1 << 3];
/// Operation 15 does not exist.
const OPCODE: [u64; 2] = [0xf << 60, 0];
/// INVALIDATE_DEVTAB_ENTRY, INVALIDATE_IOMMU_PAGES and INVALIDATE_IOTLB_PAGES.
const DEVICE_ENTRY: u8 = 2;
const PAGES: u8 = 3;
const DEVICE_TLB: u8 = 4;

type Open<'a> = Ticket<'a, ModelPlatform<PlainArch>, 1>;

/// Three processes on devices of their own, each with a page cached read-only and made writable since.
fn upgraded(rig: &Rig) -> [Process; 3] {
    let kinds = [SHARED, KINDS[0], KINDS[3]];
    let mut device = 0;
    kinds.map(|kind| {
        device += 1;
        let process = rig.process(device, kind, 2);
        process.device.read(BASE).unwrap();
        process.tables.protect(0, BASE, Rights::ReadWrite);
        process
    })
}

fn start<'a>(rig: &'a Rig, process: &'a Process) -> Open<'a> {
    let flush = crate::rig::pages(process, 0, 1);
    rig.engine.start(&process.space, flush).unwrap()
}

/// Several shootdowns under way, and trouble among their commands.
fn in_trouble(temper: Temper, options: AmdOptions, trouble: impl Fn(&Rig)) {
    let rig = Rig::with(temper, options);
    let processes = upgraded(&rig);
    trouble(&rig);
    let tickets = processes.each_ref().map(|process| start(&rig, process));
    for (ticket, process) in tickets.into_iter().zip(&processes) {
        assert!(ticket.wait().is_ok(), "{temper:?}");
        rig.returned(process, 0, 1);
        assert_eq!(process.device.write(BASE, 1), Ok(()), "{temper:?}");
    }
    rig.assert_clean(temper);
    // And it goes on.
    for process in &processes {
        process.tables.unmap(0, BASE);
        rig.flush(process, 0, 1);
        assert_eq!(process.device.read(BASE), Err(DeviceFault::NotPresent));
    }
    rig.assert_clean(temper);
}

#[test]
fn promise_05_an_illegal_command_among_others_loses_nothing() {
    for temper in tempers() {
        for event_tail_first in [false, true] {
            let options = AmdOptions {
                event_tail_first,
                ..AmdOptions::default()
            };
            for opcode in [PAGES, DEVICE_TLB] {
                in_trouble(temper, options, |rig| {
                    rig.port.spoil_next(opcode, RESERVED);
                });
            }
        }
    }
}

/// What was fetched before a halt and is not complete is forgotten when the buffer is switched off: the restart begins before it.
#[test]
fn promise_05_what_was_under_way_at_a_halt_is_done_again() {
    const DEVICES: u16 = 14;
    for temper in tempers() {
        let rig = Rig::new(temper);
        let space = rig.engine.new_space();
        let tables = rig.model.x86_tables();
        let frame = rig.model.allocate(0x1000);
        tables.map(0, BASE, Mapping::page(frame, Rights::ReadOnly));
        rig.publish();
        for device in 1..=DEVICES {
            rig.add_device(device, KINDS[0]);
        }
        let contexts: Vec<_> = (1..=DEVICES).map(|n| context(n, KINDS[0])).collect();
        let _attached = rig.attach(&space, &tables, &contexts).unwrap();
        let read = |device| rig.port.device(device).pasid(PASID).read(BASE);
        (1..=DEVICES).for_each(|device| assert!(read(device).is_ok()));
        let other = rig.process(DEVICES + 1, KINDS[0], 1);
        tables.unmap(0, BASE);
        let first = rig.engine.start(&space, Flush::all()).unwrap();
        // A command for each device and a wait are fetched, and nothing need be done yet.
        (0..=DEVICES).for_each(|_| rig.port.step());
        rig.port.abort_next_fetch();
        let second = start(&rig, &other);
        assert!(first.wait().is_ok(), "{temper:?}");
        rig.model.returned(tables.root(), 0, u64::MAX);
        for device in 1..=DEVICES {
            assert_eq!(read(device), Err(DeviceFault::NotPresent), "{temper:?}");
        }
        assert!(second.wait().is_ok(), "{temper:?}");
        rig.assert_clean(temper);
    }
}

#[test]
fn promise_05_without_invalidate_all_nothing_is_lost_either() {
    let options = AmdOptions {
        ia: false,
        ..AmdOptions::default()
    };
    // Such an IOMMU forgets by 65536 domains, which takes its time.
    for temper in tempers().skip(1).take(3) {
        in_trouble(temper, options, |rig| {
            rig.port.spoil_next(PAGES, RESERVED);
        });
    }
}

#[test]
fn promise_10_an_illegal_command_within_a_release_leaves_nobody_walking() {
    for temper in tempers() {
        for (kind, opcode) in [
            (KINDS[3], DEVICE_ENTRY),
            (KINDS[3], PAGES),
            (SHARED, PAGES),
            (SHARED, DEVICE_TLB),
        ] {
            let rig = Rig::new(temper);
            let process = rig.process(1, kind, 2);
            process.device.read(BASE).unwrap();
            rig.port.spoil_next(opcode, RESERVED);
            rig.engine.release(&process.space).unwrap();
            rig.model.returned(process.tables.root(), 0, u64::MAX);
            assert!(process.device.read(BASE).is_err(), "{temper:?} {kind:?}");
            rig.assert_clean((temper, kind));
        }
    }
}

/// What a command was cannot be told any more: nobody is told that it is complete.
#[test]
fn promise_05_a_command_beyond_recognition_is_not_believed() {
    for temper in tempers() {
        let rig = Rig::new(temper);
        let processes = upgraded(&rig);
        rig.port.spoil_next(PAGES, OPCODE);
        for process in &processes {
            match start(&rig, process).wait() {
                Ok(_) => {
                    rig.returned(process, 0, 1);
                    assert_eq!(process.device.write(BASE, 1), Ok(()), "{temper:?}");
                }
                Err(unfinished) => {
                    let stopped = Some(SecondaryError::QueueStopped);
                    assert_eq!(unfinished.error.error, stopped, "{temper:?}");
                }
            }
        }
        rig.assert_clean(temper);
    }
}

#[test]
fn promise_05_an_aborted_fetch_loses_nothing() {
    for temper in tempers() {
        in_trouble(temper, AmdOptions::default(), |rig| {
            rig.port.abort_next_fetch();
        });
    }
}

#[test]
fn promise_05_both_at_once_lose_nothing() {
    for temper in tempers() {
        in_trouble(temper, AmdOptions::default(), |rig| {
            rig.port.abort_next_fetch();
            rig.port.spoil_next(DEVICE_TLB, RESERVED);
        });
    }
}

/// A flush of a space on a silent device, and of others meanwhile.
fn silent(rig: &Rig, what: impl core::fmt::Debug + Copy) {
    let processes = upgraded(rig);
    processes[0].device.set_silent(true);
    let [dead, plain, host] = processes.each_ref().map(|process| start(rig, process));
    for (ticket, process) in [(host, &processes[2]), (plain, &processes[1])] {
        assert!(ticket.wait().is_ok(), "{what:?}");
        rig.returned(process, 0, 1);
        assert_eq!(process.device.write(BASE, 1), Ok(()), "{what:?}");
    }
    let Err(failed) = dead.wait() else {
        panic!("the silent device was believed: {what:?}");
    };
    let timeout = SecondaryError::DeviceTimeout { device: 1 };
    assert_eq!(failed.error.error, Some(timeout), "{what:?}");
    // Cut off: it does not even get at what it holds.
    assert!(processes[0].device.read(BASE).is_err(), "{what:?}");
    // The others go on.
    processes[1].tables.unmap(0, BASE);
    rig.flush(&processes[1], 0, 1);
    assert!(processes[1].device.read(BASE).is_err());
}

#[test]
fn promise_04_a_silent_device_is_named_and_the_others_complete() {
    for temper in tempers() {
        for event_tail_first in [false, true] {
            let options = AmdOptions {
                event_tail_first,
                ..AmdOptions::default()
            };
            silent(&Rig::with(temper, options), (temper, event_tail_first));
        }
    }
}

/// A device that floods the log: the event that names the silent one finds no room.
#[test]
fn promise_04_a_silent_device_is_found_although_the_log_is_full() {
    for temper in tempers() {
        let rig = Rig::new(temper);
        let flood = rig.process(9, KINDS[0], 0);
        for n in 0..300 {
            assert!(flood.device.read(flood.page(n)).is_err());
        }
        silent(&rig, temper);
    }
}

#[test]
fn promise_05_a_device_that_answers_late_is_believed() {
    for temper in tempers() {
        let rig = Rig::new(temper);
        let process = rig.process(1, SHARED, 1);
        process.device.read(BASE).unwrap();
        process.tables.protect(0, BASE, Rights::ReadWrite);
        process.device.set_silent(true);
        let mut ticket = start(&rig, &process);
        for _ in 0..6 {
            rig.model.step();
            let _ = ticket.poll();
        }
        process.device.set_silent(false);
        assert!(ticket.wait().is_ok(), "{temper:?}");
        rig.returned(&process, 0, 1);
        assert_eq!(process.device.write(BASE, 1), Ok(()), "{temper:?}");
        rig.assert_clean(temper);
    }
}

#[test]
fn promise_12_a_dead_iommu_ends_at_the_deadline_and_frees_nothing() {
    let rig = Rig::new(Temper::Late);
    let mut process = rig.process(1, SHARED, 1);
    process.device.read(BASE).unwrap();
    process.tables.unmap(0, BASE);
    rig.port.freeze(true);
    let failed = rig.try_flush(&process, 0, 1);
    assert!(
        matches!(failed, Err(FlushError::Incomplete(_))),
        "{failed:?}"
    );
    let mut few = 0..20;
    let detach = rig.iommu.detach(process.key, &mut || few.next().is_some());
    assert_eq!(detach, Err(AttachError::Timeout(Some(process.key))));
    rig.port.freeze(false);
    rig.flush(&process, 0, 1);
    assert_eq!(process.device.read(BASE), Err(DeviceFault::NotPresent));
    rig.detach(&mut process);
    rig.assert_clean(());
}

/// More shootdowns at a time than the 256 entries hold, and than there is room for a second stage.
#[test]
fn promise_05_a_full_buffer_waits_and_loses_nothing() {
    const COUNT: u64 = 150;
    for temper in tempers().take(5) {
        for kind in KINDS {
            let rig = Rig::new(temper);
            let process = rig.process(1, kind, COUNT);
            for n in 0..COUNT {
                process.device.read(process.page(n)).unwrap();
            }
            let frames: Vec<_> = (0..COUNT)
                .map(|n| process.tables.unmap(0, process.page(n)).unwrap())
                .collect();
            // Nobody polls before all have been started.
            let tickets: Vec<_> = (0..COUNT)
                .map(|n| {
                    let flush = crate::rig::pages(&process, n, 1);
                    rig.engine.start(&process.space, flush).unwrap()
                })
                .collect();
            for (n, ticket) in (0..COUNT).zip(tickets) {
                assert!(ticket.wait().is_ok(), "{temper:?} {kind:?}");
                rig.returned(&process, n, 1);
            }
            frames.into_iter().for_each(|frame| rig.model.free(frame));
            for n in 0..COUNT {
                assert!(process.device.read(process.page(n)).is_err());
            }
            rig.assert_clean((temper, kind));
        }
    }
}
