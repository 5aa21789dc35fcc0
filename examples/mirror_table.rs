//! A device with a page table of its own mirrors a range of a process's memory; the kernel moves a page meanwhile:
//! `cargo run --example mirror_table`.
//!
//! The device does not walk the process's table, so no flush concerns it. It copies translations when it needs them, and is told before the
//! kernel changes what it may have copied. The machine is the model; the calls are the same in a kernel.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::task::Poll;
use tlb_shootdown::address::{FlushRange, PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::aarch64::{Aarch64, Config, granule};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::lock::CriticalSectionLock;
use tlb_shootdown::notifier::interval::{
    Begun, Change, IntervalSubscriber, Intervals, Mark, OwnsTables, ReadError, Removal, Subscriber,
    Subscription, WouldSleep,
};
use tlb_shootdown::secondary::{AttachKey, SecondaryError};
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelPlatform;
use tlb_shootdown_model::{Model, Temper};

type Arch = Aarch64<ModelInstructions, 1>;
type Engine = Shootdown<ModelPlatform<Arch>, 1>;
/// Beside each `AddressSpace`. The device below is told by polling, so nobody parks: `()`.
type Subscriptions = Intervals<CriticalSectionLock, (), 16>;

const PAGE: u64 = 0x40_0000;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// The driver: what the device's own table holds, page to frame.
struct Mirror {
    table: Mutex<BTreeMap<u64, u64>>,
}

static MIRROR: Mirror = Mirror {
    table: Mutex::new(BTreeMap::new()),
};

impl Subscriber for Mirror {
    type Kind = OwnsTables;
}

// SAFETY: entries are filled in and removed under one lock, and this device looks at its table anew at each access.
unsafe impl IntervalSubscriber for Mirror {
    fn start(&self, change: &Change) -> Result<Begun, WouldSleep> {
        let mut table = self.table.lock().expect("nobody panics");
        match change.range {
            FlushRange::All => table.clear(),
            FlushRange::Pages(pages) => {
                table.retain(|page, _| !pages.contains(VirtAddr::new(*page)))
            }
        }
        // Hardware with a TLB would queue its invalidation here and answer `Begun::Until`.
        Ok(Begun::Done)
    }

    fn poll(&self, _: AttachKey, _: Mark) -> Poll<Result<(), SecondaryError>> {
        Poll::Ready(Ok(()))
    }
}

impl Mirror {
    /// The device's page fault: copies what the process's table says, if it does not change meanwhile.
    fn fault(
        &self,
        intervals: &Subscriptions,
        subscription: Subscription,
        process: &Tables,
    ) -> Result<u64, ReadError> {
        loop {
            // `WouldBlock` goes up: a kernel parks until `has_ended`, then lets the device fault again.
            let read = intervals.read_begin(subscription)?;
            let frame = process.descriptor(PAGE) & ADDRESS;
            let mut table = self.table.lock().expect("nobody panics");
            if !intervals.read_retry(read) {
                table.insert(PAGE, frame);
                return Ok(frame);
            }
        }
    }

    fn show(&self, when: &str) {
        let table = self.table.lock().expect("nobody panics");
        println!("{when:<44}{:x?}", table.get(&PAGE));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::new(1, Temper::Late);
    let engine = Engine::new(
        ModelPlatform::new(model.clone()),
        Aarch64::new(
            ModelInstructions::new(model.clone()),
            Config::new(granule::Granule::Kib4),
        ),
    );
    engine.cpu_online()?;
    let space = engine.new_space();
    let process = model.tables();
    let [old, new] = [(); 2].map(|()| model.allocate(0x1000));
    process.map(0, PAGE, Mapping::page(old, Rights::ReadWrite));

    // The device mirrors 16 pages. Nothing has to be attached to the space for that.
    let intervals = Subscriptions::new(space.id(), CriticalSectionLock, ());
    let range = PageRange::from_len(VirtAddr::new(PAGE), 16 * 0x1000, PageSize::KIB_4)?;
    let subscription = intervals.subscribe(range, &MIRROR, AttachKey(1))?;
    MIRROR.fault(&intervals, subscription, &process)?;
    MIRROR.show("the device has copied the translation:");

    // The page moves. First nobody may use a copy; a kernel bounds the wait by its clock.
    let page = PageRange::page(VirtAddr::new(PAGE), PageSize::KIB_4);
    let quiet = intervals.begin(page)?.wait(&mut || true);
    let quiet = quiet.map_err(|not_quiet| not_quiet.error)?;
    MIRROR.show("told before the change, it has let go:");
    let fault = MIRROR.fault(&intervals, subscription, &process);
    println!("{:<44}{fault:?}", "its fault has to wait:");

    // Then the table, through an invalid entry, and the flush, which is for CPUs and for devices that walk this table.
    let flush = Flush::page(VirtAddr::new(PAGE), PageSize::KIB_4);
    process.unmap(0, PAGE);
    engine.flush(&space, flush)?;
    process.map(0, PAGE, Mapping::page(new, Rights::ReadWrite));
    drop(quiet);
    MIRROR.fault(&intervals, subscription, &process)?;
    MIRROR.show("after the change, it copies the new frame:");

    // The process ends: nobody copies any more, and the driver clears what it has.
    let quiet = intervals.release()?.wait(&mut || true);
    drop(quiet.map_err(|not_quiet| not_quiet.error)?);
    MIRROR.show("released:");
    let fault = MIRROR.fault(&intervals, subscription, &process);
    println!("{:<44}{fault:?}", "and for good:");
    assert_eq!(intervals.unsubscribe(subscription)?, Removal::Done);
    engine.retire(&space)?.wait().map_err(|late| late.error)?;
    Ok(())
}
