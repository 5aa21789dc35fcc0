//! The POWER recorder, and a hypervisor that writes down what it is asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tlb_shootdown::arch::powerpc::hypervisor::{Hypervisor, HypervisorError, RptInvalidate};
use tlb_shootdown::arch::powerpc::instructions::Instructions;

/// One instruction: its name with RIC and PRS, where it has them ("tlbie ric0 prs1"), and RB and RS, zeros where it has none.
pub type Executed = (&'static str, [u64; 2]);

/// The processor version register of a POWER9 DD2.2: ISA 3.0, both of the `tlbie` defects.
pub const POWER9: u32 = 0x004e_1202;
/// The processor version register of a POWER10 DD2.0: ISA 3.1, neither.
pub const POWER10: u32 = 0x0080_0200;

/// Records every instruction in the order of execution. One recorder stands for all CPUs that share it.
///
/// Barriers are full fences between host threads as well, so that what is ordered on hardware is ordered here.
#[derive(Debug)]
pub struct Recorder {
    executed: Mutex<Vec<Executed>>,
    pvr: AtomicU32,
}

impl Recorder {
    /// A recorder with nothing recorded, whose CPU has this PVR.
    pub fn new(pvr: u32) -> Self {
        Self {
            executed: Mutex::default(),
            pvr: pvr.into(),
        }
    }

    /// From now on CPUs that are asked say this of themselves: a machine of unlike CPUs.
    pub fn identify_as(&self, pvr: u32) {
        self.pvr.store(pvr, Ordering::SeqCst);
    }

    /// Everything executed so far; forgets it.
    pub fn take(&self) -> Vec<Executed> {
        std::mem::take(&mut *lock(&self.executed))
    }

    /// How many of the instructions recorded and not yet taken begin with these words: `"tlb"`, `"tlbie "`, `"tlbiel ric2"`.
    pub fn count(&self, beginning: &str) -> usize {
        lock(&self.executed)
            .iter()
            .filter(|(name, _)| name.starts_with(beginning))
            .count()
    }

    fn push(&self, name: &'static str, operands: [u64; 2]) {
        fence(Ordering::SeqCst);
        lock(&self.executed).push((name, operands));
        fence(Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

macro_rules! barriers {
    ($($method:ident: $name:literal),* $(,)?) => {
        $(fn $method(&self) {
            self.push($name, [0; 2]);
        })*
    };
}

macro_rules! invalidations {
    ($($method:ident: $name:literal),* $(,)?) => {
        $(fn $method(&self, rb: u64, rs: u64) {
            self.push($name, [rb, rs]);
        })*
    };
}

// SAFETY: only tests rely on a recorder; no memory is freed on its word.
unsafe impl Instructions for Recorder {
    barriers! {
        ptesync: "ptesync",
        sync: "sync",
        eieio: "eieio",
        tlbsync: "tlbsync",
        isync: "isync",
        slbia_ih3: "slbia ih3",
        slbia_ih7: "slbia ih7",
        cp_abort: "cp_abort",
    }

    invalidations! {
        tlbie_ric0_prs1: "tlbie ric0 prs1",
        tlbie_ric1_prs1: "tlbie ric1 prs1",
        tlbie_ric2_prs1: "tlbie ric2 prs1",
        tlbie_ric0_prs0: "tlbie ric0 prs0",
        tlbie_ric1_prs0: "tlbie ric1 prs0",
        tlbie_ric2_prs0: "tlbie ric2 prs0",
        tlbiel_ric0_prs1: "tlbiel ric0 prs1",
        tlbiel_ric1_prs1: "tlbiel ric1 prs1",
        tlbiel_ric2_prs1: "tlbiel ric2 prs1",
        tlbiel_ric0_prs0: "tlbiel ric0 prs0",
        tlbiel_ric2_prs0: "tlbiel ric2 prs0",
    }

    fn pvr(&self) -> u32 {
        self.pvr.load(Ordering::SeqCst)
    }
}

/// A hypervisor that writes its calls down and answers H_SUCCESS, unless it was told to fail.
///
/// Static (`const fn new`), because a kernel's configuration keeps its hypervisor for ever.
#[derive(Debug, Default)]
pub struct RecordingHypervisor {
    calls: Mutex<Vec<RptInvalidate>>,
    answers: Mutex<VecDeque<HypervisorError>>,
}

impl RecordingHypervisor {
    /// One that was asked nothing yet.
    pub const fn new() -> Self {
        Self {
            calls: Mutex::new(Vec::new()),
            answers: Mutex::new(VecDeque::new()),
        }
    }

    /// The next calls fail with these, one each, in their order.
    pub fn fail_next(&self, answers: &[HypervisorError]) {
        lock(&self.answers).extend(answers);
    }

    /// Every call so far, refused ones among them; forgets them.
    pub fn take(&self) -> Vec<RptInvalidate> {
        std::mem::take(&mut *lock(&self.calls))
    }
}

// SAFETY: only tests rely on it; no memory is freed on its word.
unsafe impl Hypervisor for RecordingHypervisor {
    fn rpt_invalidate(&self, call: &RptInvalidate) -> Result<(), HypervisorError> {
        lock(&self.calls).push(*call);
        lock(&self.answers).pop_front().map_or(Ok(()), Err)
    }
}
