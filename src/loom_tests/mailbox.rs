//! Posting, serving and acknowledging.

use super::world::Page;
use super::{three_cpus, two_cpus_in_part};
use crate::address::{FlushRange, PageRange, PageSize, VirtAddr};
use crate::arch::{Change, HardwareId};
use crate::cpu_set::{CpuId, CpuSet};
use crate::flush::Flush;
use crate::mailbox::{Mailboxes, Posted, Request};
use crate::space::SpaceId;
use crate::sync::{Ordering, fence};
use loom::sync::Arc;
use loom::thread;

const TARGET: CpuId = CpuId::new(2);

struct World {
    mailboxes: Mailboxes<1>,
    pages: [Page; 2],
    /// The identifier of the space that each page belongs to.
    ids: [u64; 2],
}

impl World {
    fn new(ids: [u64; 2]) -> Arc<Self> {
        Arc::new(Self {
            mailboxes: Mailboxes::new(),
            pages: [Page::new(), Page::new()],
            ids,
        })
    }

    /// Unmaps a page and asks the target to drop it.
    fn unmap(&self, me: CpuId, page: usize) -> Posted {
        self.pages[page].unmap();
        fence(Ordering::SeqCst);
        let targets = CpuSet::of(TARGET);
        let posted = self
            .mailboxes
            .post(me, &targets, &targets, &request(page, self.ids[page]));
        posted.expect("CPU 0 and 1 have slots").0
    }

    fn free_if_answered(&self, posted: Posted, page: usize) -> bool {
        let answered = self.mailboxes.has_acked(posted, TARGET);
        if answered {
            self.pages[page].free();
        }
        answered
    }

    /// The target fills its TLB, serves what is pending, and goes on using what it was not asked to drop.
    fn run_target(&self, rounds: usize) {
        let mut cached = [false; 2];
        for _ in 0..rounds {
            for (cached, page) in cached.iter_mut().zip(&self.pages) {
                *cached |= page.is_mapped();
            }
            self.mailboxes.serve(TARGET, |request| {
                for (index, (cached, page)) in cached.iter_mut().zip(&self.pages).enumerate() {
                    if core::mem::take(cached) {
                        // Still under way when the request is read.
                        page.access();
                        *cached = !covers(request, index, self.ids[index]);
                    }
                }
            });
            for (cached, page) in cached.iter().zip(&self.pages) {
                if *cached {
                    page.access();
                }
            }
        }
    }
}

fn page(index: usize) -> VirtAddr {
    VirtAddr::new((index as u64 + 1) << 12)
}

fn request(index: usize, id: u64) -> Request {
    let flush = Flush::pages(PageRange::page(page(index), PageSize::KIB_4));
    let (space, id) = (SpaceId::from_raw(id), HardwareId(id));
    Request::Space(Change::new(space, id, 1, flush))
}

fn covers(request: &Request, index: usize, of: u64) -> bool {
    match request {
        Request::Space(Change { id, flush, .. }) if id.0 == of => match flush.range() {
            FlushRange::Pages(pages) => pages.contains(page(index)),
            FlushRange::All => true,
        },
        Request::Everything => true,
        _ => false,
    }
}

/// Nothing is freed before the target has dropped it, and all is free once the target has looked.
#[test]
fn loom_promise_05_two_initiators_and_one_target() {
    three_cpus(|| {
        let world = World::new([1, 1]);
        let initiators = [0, 1].map(|cpu| {
            let world = world.clone();
            thread::spawn(move || {
                let posted = world.unmap(CpuId::new(cpu), cpu as usize);
                world.free_if_answered(posted, cpu as usize);
                posted
            })
        });
        world.run_target(1);
        let posted = initiators.map(|initiator| initiator.join().unwrap());
        world.mailboxes.serve(TARGET, |_| ());
        for posted in posted {
            assert!(world.mailboxes.has_acked(posted, TARGET));
        }
    });
}

/// The second request widens the first while the target may be reading it; or overwrites it, when it has been answered.
fn two_requests(ids: [u64; 2]) {
    two_cpus_in_part(3, move || {
        let world = World::new(ids);
        let initiator = {
            let world = world.clone();
            thread::spawn(move || {
                let me = CpuId::new(0);
                let first = world.unmap(me, 0);
                let freed = world.free_if_answered(first, 0);
                let second = world.unmap(me, 1);
                world.free_if_answered(second, 1);
                if !freed {
                    world.free_if_answered(first, 0);
                }
                [first, second]
            })
        };
        world.run_target(1);
        let posted = initiator.join().unwrap();
        world.mailboxes.serve(TARGET, |_| ());
        for posted in posted {
            assert!(world.mailboxes.has_acked(posted, TARGET));
        }
    });
}

#[test]
fn loom_promise_05_request_widens_while_it_is_read() {
    two_requests([1, 1]);
}

/// The merged request has another shape: half of each would name a space that does not exist.
#[test]
fn loom_promise_05_request_changes_shape_while_it_is_read() {
    two_requests([1, 2]);
}

/// A request is asked again by another CPU while the target answers it: the late second answer credits no later request.
#[test]
fn loom_promise_05_repeated_request_credits_nothing_later() {
    two_cpus_in_part(2, || {
        let world = World::new([1, 1]);
        let me = CpuId::new(0);
        let first = world.unmap(me, 0);
        let target = {
            let world = world.clone();
            thread::spawn(move || world.run_target(2))
        };
        world.mailboxes.repeat(first, &CpuSet::of(TARGET));
        world.free_if_answered(first, 0);
        let second = world.unmap(me, 1);
        world.free_if_answered(second, 1);
        target.join().unwrap();
    });
}
