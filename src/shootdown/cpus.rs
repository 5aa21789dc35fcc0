//! CPUs that come, go, and switch address spaces.

use super::Shootdown;
use crate::arch::{Arch, HardwareId, Issued, JoinError, Reach};
use crate::cost::Cost;
use crate::cpu_set::{CpuId, CpuSet};
use crate::defects::Defect;
use crate::error::{Refused, SwitchError};
use crate::platform::Platform;
use crate::space::AddressSpace;
use crate::sync::Ordering;

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Announces the executing CPU. From here on shootdowns reach it; whatever its TLB held from earlier is dropped.
    ///
    /// Before the second CPU announces itself every flush stays local and interrupts nobody.
    ///
    /// # Errors
    /// [`JoinError`]: the CPU is beyond the capacity, or lacks a feature in use. It must then not walk any shared table.
    ///
    /// # Context
    /// On the CPU itself, with interrupts off and able to take the shootdown interrupt as soon as they are on; before it runs any
    /// address space and before it touches kernel mappings that may be flushed. On AArch64 the registers of the translation regime have been
    /// written before, and an ISB executed; the call itself ends with one (Arm ARM D8.17, R_BLDZX), and no other is needed after it.
    pub fn cpu_online(&self) -> Result<(), JoinError> {
        let _irqs_off = self.platform.irq_save();
        let me = self.platform.cpu();
        if me.index() >= CpuSet::<WORDS>::CAPACITY {
            return Err(JoinError::UnknownCpu);
        }
        self.arch.join(me)?;
        self.present.insert(me, Ordering::SeqCst);
        self.online.insert(me, Ordering::SeqCst);
        // Published, then flushed: a shootdown that did not see this CPU made its stores before the flush. The others look for it,
        // so the barrier between the two is theirs as well.
        if !Defect::OnlineWithoutFlush.is_put_back() {
            self.flush_this_cpu();
        }
        self.serve_mailbox();
        Ok(())
    }

    /// Takes the executing CPU out. Shootdowns under way are answered; later ones neither reach it nor wait for it.
    ///
    /// # Context
    /// On the CPU itself, with interrupts off and no space running. Afterwards it touches no mapping that may be flushed until it comes online again.
    ///
    /// Where CPUs are interrupted nobody tells it either that tables of the kernel's half are freed, and speculation walks what nothing
    /// touches (Intel SDM Vol 3A 4.10.2.3 and 4.10.3.1): before the call it loads a root through which no such table is reached, or it is
    /// stopped before the first of them is freed. The same holds of a CPU that is on its way to [`cpu_online`](Self::cpu_online).
    pub fn cpu_offline(&self) {
        let _irqs_off = self.platform.irq_save();
        let me = self.platform.cpu();
        // A borrowed root goes first: nothing tells this CPU any more when its tables are freed.
        self.leave_borrowed_root(me, None);
        self.online.remove(me, Ordering::SeqCst);
        // An initiator that still saw this CPU made its stores before this flush; one that did not, does not need it.
        self.flush_this_cpu();
        self.serve_mailbox();
        // Last: from here on nobody waits for it.
        self.present.remove(me, Ordering::SeqCst);
    }

    /// The CPUs that are online.
    pub fn online_cpus(&self) -> CpuSet<WORDS> {
        self.online()
    }

    /// Makes the space ready to run on this CPU: gives it an identifier that is clean here, and publishes that this CPU may from now
    /// on hold entries of it. The kernel then loads the root with the identifier returned, and calls [`Self::root_loaded`].
    ///
    /// # Errors
    /// [`SwitchError`]; the root must then not be loaded. The CPU may have lost its claim to the identifier under which it ran
    /// until now: with interrupts still off, switch to another space or load a root of the kernel's own.
    ///
    /// # Context
    /// On the CPU that switches, with interrupts off until the root is loaded.
    ///
    /// On AArch64 that is an MSR to `TTBR0_EL1`, to `TTBR1_EL1` as well where that has the ASID, and then an ISB: without one the CPU may go on
    /// walking the old tables under the old ASID (Arm ARM D24.1.2.2: from a direct write to an indirect read synchronisation is
    /// required), and a walk may come before what a DSB has ordered (B2.3, DSB-ordered-before: implicit reads of translation tables
    /// follow a DSB by a context synchronisation event alone, unless there is FEAT_ETS2). Another context synchronisation event will do.
    pub fn switch_to(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
    ) -> Result<HardwareId, SwitchError> {
        let me = self.own_cpu().map_err(SwitchError::Refused)?;
        let retired = SwitchError::Refused(Refused::Retired);
        if !space.is_live() {
            return Err(retired);
        }
        let mut cost = Cost::ZERO;
        let mut forget = || space.cpus.store(&CpuSet::EMPTY, Ordering::SeqCst);
        let id = self
            .arch
            .activate(me, &space.hardware, &mut forget, &mut cost)
            .map_err(SwitchError::Id)?;
        // After the identifier: one that is new to the space has just forgotten the CPUs that held the old one.
        let was_member = space.cpus.contains(me, Ordering::SeqCst);
        if !was_member {
            space.cpus.insert(me, Ordering::SeqCst);
        }
        // Promise 2: membership is visible before the first walk, also where the bit was set already.
        if !(was_member && Defect::MembershipUnordered.is_put_back()) {
            self.arch.membership_barrier(&mut cost);
        }
        // Once more: `retire` either finds this CPU in the set, or is seen here.
        if !space.is_live() {
            return Err(retired);
        }
        // After the barrier: a change whose flush did not find this CPU is of this generation or an earlier one.
        let generation = space.generation();
        Ok(self
            .arch
            .enter(me, space.id(), &space.hardware, id, generation))
    }

    /// To be called by the context switch before the outgoing task may run on another CPU: completes invalidations that the
    /// kernel itself had issued in that task. This crate's own are complete when its calls return.
    ///
    /// # Context
    /// On the CPU that the task leaves, with interrupts off.
    pub fn before_migration(&self) {
        let mut cost = Cost::ZERO;
        self.arch.before_migration(&mut cost);
    }

    fn own_cpu(&self) -> Result<CpuId, Refused> {
        let me = self.platform.cpu();
        if self.online.contains(me, Ordering::Relaxed) {
            Ok(me)
        } else {
            Err(Refused::UnknownCpu)
        }
    }

    /// Drops everything that this CPU holds, after all the others can see that it has come or gone.
    fn flush_this_cpu(&self) {
        let mut cost = Cost::ZERO;
        self.arch.store_barrier(Reach::Broadcast, &mut cost);
        self.arch.flush_tlb_all(Reach::Local, &mut cost);
        self.arch.complete_local([Issued::EVERYTHING], &mut cost);
    }
}
