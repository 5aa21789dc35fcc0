//! Command rings, and the registers of a link that has none: CPUs that submit and look, and a unit that is late.
//!
//! The driver is the real one; the unit and the memory between them are the smallest that can tell a stale answer from a true one. A store
//! to the ring arrives at the unit with the next barrier and no earlier, one command is taken at a time, and an invalidation takes effect
//! when something waits for it. Each page is cached when its shootdown begins: who is answered finds it in no cache.

mod amd;
mod amd_unit;
mod link;
mod link_unit;
mod races;
mod smmuv3;
mod smmuv3_unit;
mod vtd;
mod vtd_unit;

use super::{three_cpus, two_cpus, two_cpus_in_part};
use crate::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use crate::cost::Cost;
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use crate::flush::Flush;
use crate::lock::RingLock;
use crate::secondary::{AttachKey, Fence, Invalidation, SecondaryError, SecondaryTlb};
use core::ptr::NonNull;
use core::task::Poll;
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::boxed::Box;
use std::sync;
use std::vec::Vec;

const PAGE: usize = 4096;

/// Memory of one execution.
struct Pages {
    at: NonNull<u8>,
    count: usize,
}

impl Pages {
    fn new(count: usize) -> Self {
        // SAFETY: the layout is not empty.
        let at = NonNull::new(unsafe { alloc_zeroed(Self::layout(count)) }).unwrap();
        Self { at, count }
    }

    fn layout(count: usize) -> Layout {
        Layout::from_size_align(count * PAGE, PAGE).unwrap()
    }

    /// So many bytes from a page on. Each page is to be given away once.
    fn region(&self, page: usize, len: usize) -> DmaRegion {
        assert!(page * PAGE + len <= self.count * PAGE);
        // SAFETY: within the pages.
        let at = unsafe { self.at.add(page * PAGE) };
        // SAFETY: given away once, and it outlives the driver, which is dropped first.
        unsafe { DmaRegion::new(at, PhysAddr::new(at.as_ptr() as u64), len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.at.as_ptr(), Self::layout(self.count)) };
    }
}

/// A word of the driver's memory as it is now.
fn word(at: u64) -> u64 {
    // SAFETY: an address that the driver gave the unit, in the pages of this execution. Loom's threads run one at a time.
    unsafe { (at as *const u64).read_volatile() }
}

/// What a unit writes into the driver's memory.
fn store(at: u64, value: u64) {
    // SAFETY: as in `word`.
    unsafe { (at as *mut u64).write_volatile(value) }
}

/// A ring as the unit reads it.
#[derive(Default)]
struct Ring {
    at: u64,
    /// Words of one entry.
    width: usize,
    /// What has arrived.
    words: Vec<u64>,
}

impl Ring {
    fn new(at: u64, width: usize, entries: usize) -> Self {
        let words = std::vec![0; width * entries];
        Self { at, width, words }
    }

    /// What was stored arrives. An entry that may still be read is to stay as it is.
    fn arrive(&mut self, is_unread: impl Fn(usize) -> bool) {
        for (index, seen) in self.words.iter_mut().enumerate() {
            let stored = word(self.at + 8 * index as u64);
            let slot = index / self.width;
            assert!(
                *seen == stored || !is_unread(slot),
                "entry {slot} written over before it was read"
            );
            *seen = stored;
        }
    }

    fn entry(&self, slot: usize) -> &[u64] {
        &self.words[slot * self.width..][..self.width]
    }
}

/// Which pages the unit's TLB and its device's hold: a bit for each.
#[derive(Default)]
struct Caches {
    own: u64,
    device: u64,
    /// What a walk finds. A unit that may walk has walked.
    mapped: u64,
}

impl Caches {
    fn fill(&mut self, pages: u64) {
        self.own |= pages;
        self.device |= pages;
    }
}

const ALL: u64 = u64::MAX;

fn bit(page: u64) -> u64 {
    1 << page
}

/// What the unit does wrong, once it is armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// It refuses the next invalidation of its own TLB.
    Refuses,
    /// The device leaves the next invalidation unanswered.
    Silent,
    /// The device answers nothing any more.
    Dead,
    /// Nobody answers where its registers are, once, and what was under way is lost.
    Reset,
}

/// A unit behind its registers.
trait Unit: Default + Send + 'static {
    fn read(&mut self, offset: usize) -> u64;
    fn write(&mut self, offset: usize, value: u64);
    /// Earlier stores arrive.
    fn arrive(&mut self);
    /// Takes one command, where there is one.
    fn step(&mut self);
    fn caches(&mut self) -> &mut Caches;
    fn arm(&mut self, fault: Fault);
    fn fault(&self) -> Fault;
    /// Whether the device may still use what its own TLB holds.
    fn is_let_through(&self) -> bool;
    /// Whether the unit may walk.
    fn walks(&self) -> bool;
    /// How often it has come to the first entry of its ring, which for registers is each time.
    fn laps(&self) -> u32;
}

/// The unit, which is reached under the ring lock while it steps by looks alone: loom need not know of each access then.
struct Shared<U> {
    unit: sync::Mutex<U>,
    by_itself: sync::atomic::AtomicBool,
    turn: Mutex<()>,
}

impl<U: Unit> Shared<U> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            unit: sync::Mutex::new(U::default()),
            by_itself: sync::atomic::AtomicBool::new(false),
            turn: Mutex::new(()),
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut U) -> R) -> R {
        let by_itself = self.by_itself.load(sync::atomic::Ordering::Relaxed);
        let _turn = by_itself.then(|| self.turn.lock().unwrap());
        f(&mut self.unit.lock().unwrap())
    }

    /// From here on it steps between any two accesses, or no more.
    fn set_by_itself(&self, by_itself: bool) {
        self.by_itself
            .store(by_itself, sync::atomic::Ordering::Relaxed);
    }
}

/// The unit as the driver reaches it. A look at its registers takes it one step further.
struct Port<U>(Arc<Shared<U>>);

// SAFETY: each access is one access to the modelled registers, under their lock.
unsafe impl<U: Unit> Mmio for Port<U> {
    fn len(&self) -> usize {
        0x2_0000
    }
    fn read32(&self, offset: usize) -> u32 {
        self.0.with(|unit| unit.read(offset)) as u32
    }
    fn write32(&self, offset: usize, value: u32) {
        self.0.with(|unit| unit.write(offset, value.into()));
    }
    fn read64(&self, offset: usize) -> u64 {
        self.0.with(|unit| unit.read(offset))
    }
    fn write64(&self, offset: usize, value: u64) {
        self.0.with(|unit| unit.write(offset, value));
    }
}

// SAFETY: earlier stores arrive at the unit; every other access to shared memory is under the ring lock.
unsafe impl<U: Unit> DmaBarriers for Port<U> {
    fn publish_tables(&self) {}
    fn before_doorbell(&self) {
        self.0.with(Unit::arrive);
    }
    fn after_completion(&self) {}
    fn clean_lines(&self, _: *const u8, _: usize) {}
}

struct Lock(Mutex<()>);

impl Lock {
    fn new() -> Self {
        Self(Mutex::new(()))
    }
}

// SAFETY: a mutex excludes all others.
unsafe impl RingLock for Lock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _held = self.0.lock().unwrap();
        f()
    }
}

/// A driver with one address space attached, and its unit.
struct World<T, U> {
    /// Loom's threads have small stacks.
    tlb: Box<T>,
    key: AttachKey,
    unit: Arc<Shared<U>>,
    _pages: Pages,
}

/// Takes an address space out of a driver, for as long as the last argument says `true`. Whether it is out.
type Detach<T> = fn(&T, AttachKey, &mut dyn FnMut() -> bool) -> bool;

/// What a shootdown asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Page(u64),
    Release,
}

/// A shootdown under way. It may be looked at on any CPU.
struct Shot {
    task: Task,
    fence: Option<Fence>,
    answer: Option<Result<(), SecondaryError>>,
}

impl<T: SecondaryTlb, U: Unit> World<T, U> {
    fn new(tlb: Box<T>, key: AttachKey, unit: Arc<Shared<U>>, pages: Pages) -> Arc<Self> {
        unit.with(Unit::step);
        let uses = unit.with(|unit| unit.walks() && unit.is_let_through());
        assert!(uses, "nothing would ever be stale");
        Arc::new(Self {
            tlb,
            key,
            unit,
            _pages: pages,
        })
    }

    /// So many invalidations in one submission, to their end.
    fn advance(&self, invalidations: u32) {
        let mut cost = Cost::ZERO;
        for _ in 0..invalidations {
            let queued = self.tlb.queue(&self.invalidation(0), &mut cost);
            queued.expect("the ring is empty");
        }
        let mut fence = self.tlb.seal(&mut cost);
        while self.tlb.poll(&mut fence, &mut cost).is_pending() {
            self.unit.with(|unit| (0..300).for_each(|_| unit.step()));
        }
    }

    /// Queues and seals, where there is room.
    fn start(&self, task: Task) -> Shot {
        if let Task::Page(page) = task {
            self.unit.with(|unit| {
                if unit.walks() && unit.is_let_through() {
                    unit.caches().fill(bit(page));
                }
            });
        }
        let mut shot = Shot {
            task,
            fence: None,
            answer: None,
        };
        self.submit(&mut shot);
        shot
    }

    fn submit(&self, shot: &mut Shot) {
        let mut cost = Cost::ZERO;
        let queued = match shot.task {
            Task::Page(page) => self.tlb.queue(&self.invalidation(page), &mut cost),
            Task::Release => self.tlb.release(self.key, &mut cost),
        };
        let mut fence = self.tlb.seal(&mut cost);
        if queued.is_ok() {
            shot.fence = Some(fence);
        } else {
            // As the engine does it, on behalf of whoever filled the ring.
            let _ = self.tlb.poll(&mut fence, &mut cost);
        }
    }

    fn invalidation(&self, page: u64) -> Invalidation {
        let range = PageRange::page(VirtAddr::new(page << 12), PageSize::KIB_4);
        let flush = Flush::pages(range).leaf_only().leaf_size(PageSize::KIB_4);
        Invalidation::Space {
            key: self.key,
            flush,
        }
    }

    fn look(&self, shot: &mut Shot) {
        let Some(fence) = &mut shot.fence else {
            return self.submit(shot);
        };
        let looked = self.tlb.poll(fence, &mut Cost::default());
        // Told that nobody answers, who waits may look again.
        if let Poll::Ready(answer) = looked
            && answer != Err(SecondaryError::Failed)
        {
            self.judge(shot.task, answer);
            shot.answer = Some(answer);
        }
    }

    /// Waits for so many turns. What is out is used no more.
    fn detach(&self, detach: Detach<T>, turns: u32) -> bool {
        let mut turns = 0..turns;
        let is_out = detach(&self.tlb, self.key, &mut || turns.next().is_some());
        if is_out {
            self.judge(Task::Release, Ok(()));
        }
        is_out
    }

    /// What an answer says is true.
    fn judge(&self, task: Task, answer: Result<(), SecondaryError>) {
        let pages = match task {
            Task::Page(page) => bit(page),
            Task::Release => ALL,
        };
        let is_silent = matches!(answer, Err(SecondaryError::DeviceTimeout { .. }));
        self.unit.with(|unit| {
            let (walks, let_through) = (unit.walks(), unit.is_let_through());
            let caches = unit.caches();
            let device = caches.device & pages;
            assert_eq!(caches.own & pages, 0, "{task:?}: held by the unit");
            assert!(device == 0 || !let_through, "{task:?}: held by the device");
            assert!(!is_silent || !let_through, "silent, and not cut off");
            assert!(task != Task::Release || !walks, "released, and walks");
        });
        assert!(answer.is_ok() || is_silent, "{task:?}: {answer:?}");
    }

    /// One after the other, each with so many looks.
    fn shoot(&self, tasks: &[Task], looks: u32) -> Vec<Shot> {
        let shoot = |&task: &Task| {
            let mut shot = self.start(task);
            for _ in 0..looks {
                if shot.answer.is_none() {
                    self.look(&mut shot);
                }
            }
            shot
        };
        tasks.iter().map(shoot).collect()
    }

    /// Whoever has given up is answered when somebody goes on looking, whoever that is. What the unit was armed with has happened.
    fn finish(&self, shots: impl IntoIterator<Item = Shot>) {
        let mut answers = Vec::new();
        for mut shot in shots {
            for _ in 0..100 {
                if shot.answer.is_none() {
                    self.look(&mut shot);
                }
            }
            answers.push(shot.answer.expect("nobody answers"));
        }
        let fault = self.unit.with(|unit| unit.fault());
        let is_told = answers.iter().any(|answer| answer.is_err());
        assert!(matches!(fault, Fault::None | Fault::Dead), "never happened");
        assert_eq!(is_told, fault == Fault::Dead, "{answers:?}");
    }
}

/// A CPU, or a unit that steps by itself.
fn spawn<T, U, R>(
    world: &Arc<World<T, U>>,
    f: impl FnOnce(&World<T, U>) -> R + 'static,
) -> thread::JoinHandle<R>
where
    T: SecondaryTlb + 'static,
    U: Unit,
    R: 'static,
{
    let world = world.clone();
    thread::spawn(move || f(&world))
}
