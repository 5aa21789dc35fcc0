//! The end of a process and of a context: no device is left without its element, and nobody finds anything of a former owner.

use crate::linked::{BASE, Linked, Shared, kinds};
use crate::random_kernel::{Machine as _, Sink};
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::iommu::ocxl::AttachError;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::powerpc::CpuFeatures;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::ocxl::{DeviceFault, LinkOptions};
use tlb_shootdown_model::oracle::Violation;

const RIGHTS: Rights = Rights::ReadWrite;
const TERMINATED: Result<u64, DeviceFault> = Err(DeviceFault::Terminated);

fn linked((features, options): (CpuFeatures, LinkOptions)) -> Linked {
    Linked::new(features, options, Temper::Late)
}

/// A process that a device has read of.
fn used(linked: &Linked, pasid: u32) -> (Shared, u64) {
    let shared = linked.share(pasid);
    let frame = linked.map(&shared, BASE, PageSize::KIB_4, RIGHTS);
    shared.device.write(BASE, 5).unwrap();
    (shared, frame)
}

fn patience() -> impl FnMut() -> bool {
    let mut left = 1000;
    move || {
        left -= 1;
        left > 0
    }
}

/// The process ends while its device goes on: its root and its pages are freed when the device has stopped.
#[test]
fn promise_10_a_process_ends_with_its_device_at_work() {
    for (features, options) in kinds() {
        let options = LinkOptions {
            termination_polls: 50,
            ..options
        };
        let linked = linked((features, options));
        let (shared, frame) = used(&linked, 3);
        linked.rig.switch_to_kernel(0);
        let pid = linked.rig.pid(&shared.process).unwrap();
        linked.rig.model.set_process(pid, None);
        let root = shared.process.tables.root();
        let sink = Sink::new(&linked.rig.model);
        let mut frames = Frames::inline::<2>(&sink);
        let (base, size) = (PhysAddr::new(frame), PageSize::KIB_4);
        let table = PhysAddr::new(root);
        for item in [Item::Frame { base, size }, Item::Table { base: table }] {
            sink.owes(&item);
            frames.push(item).unwrap();
        }
        let ended = linked.rig.engine.retire(shared.process.space).unwrap();
        let mut ended = ended.holding(frames);
        let mut accesses = 0;
        while ended.poll().is_pending() {
            // It may find no translation any more, but it asks, and has an element.
            accesses += u32::from(shared.device.read(BASE) != TERMINATED);
        }
        assert!(accesses > 0, "it was at work");
        linked.rig.model.returned(root, 0, u64::MAX);
        assert_eq!(shared.device.read(BASE), TERMINATED, "{options:?}");
        assert_eq!(linked.link.port.held(), 0);
        assert!(!linked.link.port.holds_element(3));
        linked.assert_clean();
    }
}

/// PASID and PID go to others, who find nothing.
#[test]
fn promise_07_a_pasid_changes_hands_clean() {
    for kind in kinds() {
        let linked = linked(kind);
        for round in 0..20_u64 {
            let (shared, frame) = used(&linked, 3);
            assert_eq!(linked.reserve(3, 6).unwrap_err(), AttachError::InUse);
            assert_eq!(linked.rig.model.peek(frame), 5, "round {round}");
            let engine = &linked.rig.engine;
            engine
                .detach(shared.process.space, shared.attachment)
                .unwrap();
            linked
                .link
                .driver
                .detach(shared.key, &mut patience())
                .unwrap();
            linked.rig.switch_to_kernel(0);
            let pid = linked.rig.pid(&shared.process).unwrap();
            linked.rig.model.set_process(pid, None);
            let ended = engine.retire(shared.process.space).unwrap();
            ended.wait().unwrap();
            let root = shared.process.tables.root();
            linked.rig.model.returned(root, 0, u64::MAX);
            linked.rig.model.free(root);
            linked.rig.model.free(frame);
            linked.assert_clean();
        }
    }
}

/// The device never ends: its element, its PASID and its tables stay, and everything goes on from there when it does.
#[test]
fn promise_04_a_device_that_never_ends_keeps_what_it_uses() {
    for kind in kinds() {
        let linked = linked(kind);
        let (shared, _) = used(&linked, 3);
        shared.device.set_stuck(true);
        let space = shared.process.space;
        let engine = &linked.rig.engine;
        linked.rig.platform.set_turn(1_000_000);
        engine.detach(space, shared.attachment).unwrap_err();
        linked
            .link
            .driver
            .detach(shared.key, &mut patience())
            .unwrap_err();
        assert!(shared.device.read(BASE).is_ok());
        assert_eq!(linked.reserve(3, 6).unwrap_err(), AttachError::InUse);
        linked.assert_clean();
        shared.device.set_stuck(false);
        linked
            .link
            .driver
            .detach(shared.key, &mut patience())
            .unwrap();
        assert_eq!(shared.device.read(BASE), TERMINATED);
        linked.reserve(3, 6).unwrap();
        linked.assert_clean();
    }
}

/// The negative control of the order: an element emptied under a device stops the machine.
#[test]
fn promise_10_an_element_emptied_too_early_is_noticed() {
    for kind in kinds() {
        let linked = linked(kind);
        let (shared, _) = used(&linked, 3);
        // Element 3 begins at 384 bytes; software_state is its last word.
        let state = linked.link.driver.spa().raw() + 3 * 128 + 120;
        linked.rig.model.poke(state, 0);
        linked.link.port.clear_element(3);
        assert_eq!(shared.device.read(BASE), Err(DeviceFault::Down));
        let checkstop = Violation::Checkstop { iommu: 0 };
        assert_eq!(linked.rig.model.violations(), [checkstop]);
    }
}
