//! What all queues are held to, whatever stands in them: decoded commands cover each request, and a fence is the truth.

use super::port::{Command, Port, Unit};
use crate::input::{Input, Space};
use crate::runs::{Run, assert_covered, pages, rounded};
use std::task::Poll;
use tlb_shootdown::address::FlushRange;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Fence, Invalidation, SecondaryError, SecondaryTlb};

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// It waits for the commands before it.
    Wait,
    /// It drops these addresses from the IOMMU's own TLB; `None`: all.
    Iommu(Option<Run>),
    /// The same for the device's TLB.
    Device(Option<Run>),
    Other,
}

/// A driver that is up with one address space, and its unit.
pub(super) struct Bench<'a, U: Unit> {
    pub(super) port: &'a Port<U>,
    pub(super) tlb: &'a dyn SecondaryTlb,
    pub(super) key: AttachKey,
    pub(super) space: Space,
    pub(super) strides: &'a [u8],
    /// log2 of the smallest block that the device TLB takes; `None` where there is no device TLB.
    pub(super) device_unit: Option<u8>,
    /// Reads a command; of the request at hand where there is one.
    pub(super) decode: &'a dyn Fn(Command, Option<&Flush>) -> Does,
}

/// What a request makes the IOMMU's own TLB and device TLBs drop.
#[derive(Default)]
struct Dropped {
    iommu: Vec<Run>,
    device: Vec<Run>,
    /// Everything goes: in the IOMMU, in the device.
    whole: [bool; 2],
    blocks: usize,
}

const EVERYTHING: Run = (0, u64::MAX);

/// Where a request stands that was queued and not yet reported complete.
struct Open {
    asked: Run,
    fence: Fence,
    /// Commands that were done before it was queued.
    from: usize,
}

impl<U: Unit> Bench<'_, U> {
    /// One request on a unit that does everything at once: covered, bounded, counted.
    pub(super) fn encode(&self, input: &mut Input<'_>, bound: impl Fn(&Flush, Run, &[Run])) {
        self.port.unit().recover();
        let flush = input.flush(self.space, self.strides);
        let from = self.port.unit().done().len();
        let mut cost = Cost::ZERO;
        self.port.begin_call();
        let invalidation = Invalidation::Space {
            key: self.key,
            flush,
        };
        self.tlb
            .queue(&invalidation, &mut cost)
            .expect("an empty ring has room");
        let mut fence = self.tlb.seal(&mut cost);
        let ready = (0..16).any(|_| {
            self.port.begin_call();
            self.tlb.poll(&mut fence, &mut cost) == Poll::Ready(Ok(()))
        });
        assert!(ready, "{fence:?}");
        let done = self.port.unit().done()[from..].to_vec();
        let dropped = self.dropped(&done, Some(&flush));
        assert_eq!(
            done.iter().map(|c| (self.decode)(*c, None)).next_back(),
            Some(Does::Wait)
        );
        let asked = run_of(&flush);
        let everything = pages(&[asked]) >= 1 << (self.space.bits - 12);
        if dropped.whole.contains(&true) {
            assert!(
                cost.escalations > 0 || everything,
                "widened and not counted: {done:x?}"
            );
        }
        if !dropped.whole[0] {
            assert_covered(&dropped.iommu, asked);
            bound(&flush, asked, &dropped.iommu);
        }
        if let Some(unit) = self.device_unit.filter(|_| !dropped.whole[1]) {
            assert_covered(&dropped.device, asked);
            let most = 2 * pages(&[rounded(asked, unit)]);
            assert!(
                pages(&dropped.device) <= most,
                "{asked:x?}: {:x?}",
                dropped.device
            );
            assert!(dropped.blocks <= 4);
        }
    }

    fn dropped(&self, done: &[Command], flush: Option<&Flush>) -> Dropped {
        let mut dropped = Dropped::default();
        for command in done {
            match (self.decode)(*command, flush) {
                Does::Iommu(run) => {
                    dropped.whole[0] |= run.is_none();
                    dropped.iommu.push(run.unwrap_or(EVERYTHING));
                }
                Does::Device(run) => {
                    dropped.whole[1] |= run.is_none();
                    dropped.device.push(run.unwrap_or(EVERYTHING));
                    dropped.blocks += 1;
                }
                Does::Wait | Does::Other => {}
            }
        }
        dropped
    }

    /// Requests, looks and mishaps in any order, then a unit in which nothing goes wrong any more.
    pub(super) fn drive(&self, input: &mut Input<'_>, honest: bool) {
        let mut open: Vec<Open> = Vec::new();
        for _ in 0..200 {
            if input.is_empty() {
                break;
            }
            match input.below(8) {
                0..=2 => open.extend(self.start(input)),
                3 | 4 if !open.is_empty() => {
                    let index = input.below(open.len() as u64) as usize;
                    if self.look(&mut open[index], honest) {
                        open.swap_remove(index);
                    }
                }
                5 | 6 => {
                    let most = input.below(8) as usize;
                    self.port.unit().run(most);
                }
                _ => self.port.unit().disturb(input, honest),
            }
        }
        self.port.unit().recover();
        for _ in 0..2000 {
            open.retain_mut(|one| !self.look(one, honest));
            if open.is_empty() {
                return;
            }
        }
        assert!(!honest, "{} requests never end", open.len());
    }

    fn start(&self, input: &mut Input<'_>) -> Option<Open> {
        let flush = input.flush(self.space, self.strides);
        let (from, mut cost) = (self.port.unit().done().len(), Cost::ZERO);
        let invalidation = Invalidation::Space {
            key: self.key,
            flush,
        };
        self.port.begin_call();
        let queued = self.tlb.queue(&invalidation, &mut cost);
        self.port.begin_call();
        let mut fence = self.tlb.seal(&mut cost);
        if queued.is_err() {
            // Full: whoever finds no room polls once for whoever has filled it.
            self.port.begin_call();
            let _ = self.tlb.poll(&mut fence, &mut cost);
            return None;
        }
        Some(Open {
            asked: run_of(&flush),
            fence,
            from,
        })
    }

    /// Whether the fence says something. Where it says that all is complete, it is; of a device that lies, or has been cut off, nothing is
    /// said.
    fn look(&self, open: &mut Open, honest: bool) -> bool {
        self.port.begin_call();
        match self.tlb.poll(&mut open.fence, &mut Cost::default()) {
            Poll::Pending => false,
            Poll::Ready(Err(SecondaryError::DeviceTimeout { .. })) => {
                self.assert_done(open, false);
                true
            }
            Poll::Ready(Err(_)) => true,
            Poll::Ready(Ok(())) => {
                let is_told = honest && !self.port.unit().has_cut_off();
                self.assert_done(open, is_told && self.device_unit.is_some());
                true
            }
        }
    }

    /// Everything that the request asked for is done, and a wait behind it.
    fn assert_done(&self, open: &Open, with_device: bool) {
        let unit = self.port.unit();
        let done = &unit.done()[open.from..];
        let is_wait = |command: &Command| (self.decode)(*command, None) == Does::Wait;
        let waited = done.iter().rposition(is_wait).unwrap_or(0);
        let dropped = self.dropped(&done[..waited], None);
        assert_covered(&dropped.iommu, open.asked);
        if with_device {
            assert_covered(&dropped.device, open.asked);
        }
    }
}

fn run_of(flush: &Flush) -> Run {
    match flush.range() {
        FlushRange::All => EVERYTHING,
        FlushRange::Pages(pages) => (pages.first().raw(), pages.last_byte().raw()),
    }
}
