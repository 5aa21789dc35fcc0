//! The last resort: CPUs that answer neither the first interrupt nor the second.

use super::Shootdown;
use crate::arch::Arch;
use crate::cpu_set::CpuSet;
use crate::platform::Platform;
use crate::sync::Ordering;

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// To be called by the handler of the NMI that [`Platform::send_nmi`] raises. Drops everything this CPU holds and touches
    /// nothing else; where the NMI came in the middle of a switch it answers nothing, and the interrupt remains to be served.
    ///
    /// Rounds ([`Self::sync_lockless_walkers`]) and the end of a space are not answered this way: a walker may be at work under the
    /// NMI, a root still be loaded.
    ///
    /// # Context
    /// An NMI handler, which no second NMI interrupts. Takes no lock and does not wait.
    pub fn on_nmi(&self) {
        let me = self.platform.cpu();
        self.nmi.answer(me, || self.arch.flush_in_nmi(me));
    }

    /// Asks these CPUs by NMI; the round that their answer has to be of, where the platform can.
    pub(crate) fn interrupt_by_nmi(&self, cpus: &CpuSet<WORDS>) -> Option<u64> {
        let _irqs_off = self.platform.irq_save();
        let mut others = cpus.intersection(&self.present.load(Ordering::SeqCst));
        others.remove(self.platform.cpu());
        if others.is_empty() {
            return None;
        }
        let round = self.nmi.ask();
        self.platform.send_nmi(others.mask()).then_some(round)
    }
}
