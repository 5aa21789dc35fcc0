//! The modelled CPUs with one defect between them and the library: what a wrong library would have executed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown_model::cpu::powerpc::ModelInstructions;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Nothing.
    None,
    /// PTESYNC before an invalidation is the SYNC of CPUs.
    NoStoreBarrier,
    /// EIEIO is left out.
    NoEieio,
    /// TLBSYNC is left out.
    NoTlbsync,
    /// PTESYNC after an invalidation is the SYNC of CPUs.
    NoCompletion,
    /// TLBIE is left out.
    NoTlbie,
    /// TLBIEL is left out.
    NoTlbiel,
    /// An invalidation by address names the next page.
    WrongPage,
    /// An invalidation by address names 2 MiB in place of 4 KiB.
    WrongSize,
    /// An invalidation by address of 2 MiB is left out.
    NoLargePage,
    /// An invalidation names another PID.
    WrongPid,
    /// RIC 2 is RIC 0, and RIC 1 is left out.
    KeepsWalkCaches,
    /// RIC 2 is RIC 0 followed by RIC 1, which reads no process-table entry again.
    KeepsProcessTable,
    /// TLBIEL goes through the first class alone.
    OneSet,
    /// SLBIA is left out.
    NoSlbia,
    /// ISYNC is left out.
    NoIsync,
    /// CP_ABORT is left out.
    NoCpAbort,
    /// What follows a TLBIE and a PTESYNC for PID 0 is left out.
    NoEratRepair,
    /// What follows them for another PID is left out.
    NoQueueRepair,
}

/// [`ModelInstructions`] with a [`Defect`].
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: ModelInstructions,
    defect: Defect,
    stage: Mutex<Stage>,
}

/// Between which barriers an instruction comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is under way.
    Idle,
    /// TLBIEL is, and nothing else.
    Local,
    /// TLBIE is.
    Broadcast,
    /// And a PTESYNC has followed.
    Between,
    /// And a TLBSYNC.
    Closing,
}

impl Faulty {
    pub(crate) fn new(inner: ModelInstructions, defect: Defect) -> Self {
        Self {
            inner,
            defect,
            stage: Mutex::new(Stage::Idle),
        }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the next stage, and says which one it was.
    fn advance(&self, next: impl FnOnce(Stage) -> Stage) -> Stage {
        let mut stage = self.stage();
        let next = next(*stage);
        core::mem::replace(&mut *stage, next)
    }

    fn is_left_out(&self, repairs: bool, broadcast: bool, rb: u64, rs: u64) -> bool {
        match self.defect {
            Defect::NoTlbie => broadcast,
            Defect::NoTlbiel => !broadcast,
            Defect::NoLargePage => rb & 0xcff == 0x20,
            Defect::OneSet => !broadcast && rb & 0xc00 != 0 && rb >> 12 != 0,
            Defect::NoEratRepair => repairs && rs >> 32 == 0,
            Defect::NoQueueRepair => repairs && rs >> 32 != 0,
            _ => false,
        }
    }

    fn altered(&self, rb: u64, rs: u64) -> (u64, u64) {
        match self.defect {
            Defect::WrongPage if rb & 0xc00 == 0 => (rb + 0x1000, rs),
            Defect::WrongSize if rb & 0xcff == 0 => (rb | 0x20, rs),
            Defect::WrongPid => (rb, rs ^ 1 << 48),
            _ => (rb, rs),
        }
    }

    fn invalidate(&self, broadcast: bool, ric: u8, rb: u64, rs: u64) {
        let stage = self.advance(|stage| match stage {
            Stage::Idle | Stage::Local if !broadcast => Stage::Local,
            Stage::Idle | Stage::Local => Stage::Broadcast,
            stage => stage,
        });
        let repairs = stage == Stage::Between && broadcast;
        if self.is_left_out(repairs, broadcast, rb, rs) {
            return;
        }
        let (rb, rs) = self.altered(rb, rs);
        let rics: &[u8] = match (self.defect, ric) {
            (Defect::KeepsWalkCaches, 1) => &[],
            (Defect::KeepsWalkCaches, 2) => &[0],
            (Defect::KeepsProcessTable, 2) if broadcast => &[0, 1],
            _ => &[ric],
        };
        let on = &self.inner;
        for ric in rics {
            match (broadcast, ric) {
                (true, 0) => on.tlbie_ric0_prs1(rb, rs),
                (true, 1) => on.tlbie_ric1_prs1(rb, rs),
                (true, _) => on.tlbie_ric2_prs1(rb, rs),
                (false, 0) => on.tlbiel_ric0_prs1(rb, rs),
                (false, 1) => on.tlbiel_ric1_prs1(rb, rs),
                (false, _) => on.tlbiel_ric2_prs1(rb, rs),
            }
        }
    }

    fn unless(&self, defect: Defect, f: impl FnOnce(&ModelInstructions)) {
        if !self.is(defect) {
            f(&self.inner);
        }
    }
}

macro_rules! invalidations {
    ($($method:ident: $broadcast:literal, $ric:literal),* $(,)?) => {
        $(fn $method(&self, rb: u64, rs: u64) {
            self.invalidate($broadcast, $ric, rb, rs);
        })*
    };
}

// SAFETY: nothing but tests relies on it.
unsafe impl Instructions for Faulty {
    fn ptesync(&self) {
        let stage = self.advance(|stage| match stage {
            Stage::Broadcast | Stage::Between => Stage::Between,
            Stage::Idle | Stage::Local | Stage::Closing => Stage::Idle,
        });
        let is_sync = match stage {
            Stage::Idle => self.is(Defect::NoStoreBarrier),
            _ => self.is(Defect::NoCompletion),
        };
        if is_sync {
            self.inner.sync();
        } else {
            self.inner.ptesync();
        }
    }

    fn sync(&self) {
        self.inner.sync();
    }

    fn eieio(&self) {
        self.unless(Defect::NoEieio, Instructions::eieio);
    }

    fn tlbsync(&self) {
        self.advance(|_| Stage::Closing);
        self.unless(Defect::NoTlbsync, Instructions::tlbsync);
    }

    fn isync(&self) {
        self.unless(Defect::NoIsync, Instructions::isync);
    }

    invalidations! {
        tlbie_ric0_prs1: true, 0,
        tlbie_ric1_prs1: true, 1,
        tlbie_ric2_prs1: true, 2,
        tlbiel_ric0_prs1: false, 0,
        tlbiel_ric1_prs1: false, 1,
        tlbiel_ric2_prs1: false, 2,
    }

    fn tlbie_ric0_prs0(&self, rb: u64, rs: u64) {
        self.inner.tlbie_ric0_prs0(rb, rs);
    }

    fn tlbie_ric1_prs0(&self, rb: u64, rs: u64) {
        self.inner.tlbie_ric1_prs0(rb, rs);
    }

    fn tlbie_ric2_prs0(&self, rb: u64, rs: u64) {
        self.inner.tlbie_ric2_prs0(rb, rs);
    }

    fn tlbiel_ric0_prs0(&self, rb: u64, rs: u64) {
        self.inner.tlbiel_ric0_prs0(rb, rs);
    }

    fn tlbiel_ric2_prs0(&self, rb: u64, rs: u64) {
        self.inner.tlbiel_ric2_prs0(rb, rs);
    }

    fn slbia_ih3(&self) {
        self.unless(Defect::NoSlbia, Instructions::slbia_ih3);
    }

    fn slbia_ih7(&self) {
        self.unless(Defect::NoSlbia, Instructions::slbia_ih7);
    }

    fn cp_abort(&self) {
        self.unless(Defect::NoCpAbort, Instructions::cp_abort);
    }

    fn pvr(&self) -> u32 {
        self.inner.pvr()
    }
}
