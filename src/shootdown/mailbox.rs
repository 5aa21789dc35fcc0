//! The engine's side of the mailboxes: posting, serving, and who has answered.

use super::Shootdown;
use crate::arch::{Arch, Issued, Reach};
use crate::cost::Cost;
use crate::cpu_set::{CpuId, CpuSet};
use crate::mailbox::{Posted, Request};
use crate::platform::Platform;
use crate::stats::Stats;
use crate::sync::Ordering;

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// To be called by the kernel's handler of the interrupt that [`Platform::send_ipi`] raises: serves every request that is
    /// pending for this CPU. Harmless where there is none.
    ///
    /// # Context
    /// Interrupts off. Takes no lock, does not wait, and may interrupt any code except itself; not for an NMI.
    pub fn on_ipi(&self) {
        self.serve_mailbox();
    }

    /// To be called in the kernel's own spin loops that run with interrupts off: a CPU that waits for a lock must still answer
    /// shootdowns, for the holder of the lock may be waiting for it. One load where nothing is pending.
    ///
    /// # Context
    /// Any but NMI, and never within a lockless walk of page tables, which it would declare finished
    /// ([`Self::sync_lockless_walkers`]).
    pub fn poll(&self) {
        self.serve_mailbox();
    }

    pub(crate) fn serve_mailbox(&self) {
        let _irqs_off = self.platform.irq_save();
        let me = self.platform.cpu();
        if !self.mailboxes.is_pending(me) {
            return;
        }
        let mut served = 0;
        self.mailboxes.serve(me, |request| {
            self.apply(me, request);
            served += 1;
        });
        self.counters.add(
            me,
            &Stats {
                requests_served: served,
                ..Stats::default()
            },
        );
    }

    /// Publishes a request to those of `cpus` that are online and not this one, and interrupts them once.
    pub(crate) fn post(
        &self,
        cpus: &CpuSet<WORDS>,
        request: &Request,
        cost: &mut Cost,
    ) -> Option<(Posted, CpuSet<WORDS>)> {
        let _irqs_off = self.platform.irq_save();
        let me = self.platform.cpu();
        let online = self.online();
        // Read second: who is online and no longer present has flushed everything after the caller's stores.
        let present = self.present.load(Ordering::SeqCst);
        let mut targets = cpus.intersection(&online).intersection(&present);
        targets.remove(me);
        if targets.is_empty() {
            return None;
        }
        let (posted, interrupt) = self.mailboxes.post(me, &targets, &present, request)?;
        cost.ipis = cost.ipis.saturating_add(interrupt.len() as u32);
        self.platform.send_ipi(interrupt.mask());
        Some((posted, targets))
    }

    pub(crate) fn interrupt_again(&self, posted: Posted, cpus: &CpuSet<WORDS>, cost: &mut Cost) {
        if cpus.is_empty() {
            return;
        }
        self.mailboxes.repeat(posted, cpus);
        let _irqs_off = self.platform.irq_save();
        let mut others = cpus.intersection(&self.present.load(Ordering::SeqCst));
        others.remove(self.platform.cpu());
        cost.ipis = cost.ipis.saturating_add(others.len() as u32);
        self.platform.send_ipi(others.mask());
    }

    /// Whether the CPU has answered, in this round of NMIs if there was one, or has left after flushing everything.
    pub(crate) fn has_answered(&self, posted: Posted, nmi: Option<u64>, cpu: CpuId) -> bool {
        self.mailboxes.has_acked(posted, cpu)
            || !self.present.contains(cpu, Ordering::Acquire)
            || nmi.is_some_and(|round| self.nmi.has_answered(round, cpu))
    }

    /// Carries out another CPU's request on this one, completely.
    fn apply(&self, me: CpuId, request: &Request) {
        let mut cost = Cost::ZERO;
        match request {
            Request::Round => {}
            Request::Space(change) => {
                if self.arch.is_lazy(me, change.space) {
                    // Once is enough: a kernel thread needs no root of a process, and is not asked again.
                    self.leave_borrowed_root(me, Some(change.space));
                }
                self.arch.catch_up(me, change, &mut cost);
            }
            Request::Kernel { flush } => {
                self.arch.catch_up_kernel(me, flush, &mut cost);
            }
            Request::Leave { space, id } => {
                self.leave_borrowed_root(me, Some(*space));
                self.arch.forget(me, *space, *id, &mut cost);
            }
            Request::LetGo { space, id } => {
                if self.arch.is_lazy(me, *space) {
                    self.leave_borrowed_root(me, Some(*space));
                }
                self.arch.forget(me, *space, *id, &mut cost);
            }
            Request::Loaded { tables } => {
                if *tables {
                    self.leave_borrowed_root(me, None);
                }
                self.arch.catch_up_loaded(me, &mut cost);
            }
            Request::Everything => {
                self.leave_borrowed_root(me, None);
                self.arch.flush_tlb_all(Reach::Local, &mut cost);
                self.arch.complete_local([Issued::EVERYTHING], &mut cost);
            }
        }
    }
}
