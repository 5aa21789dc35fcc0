//! What the machine was asked to do, counted by the machine.

/// Counts since the last [`Model::take_counts`](crate::Model::take_counts), to compare with what a shootdown says it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// TLBI instructions; on POWER `tlbie` and `tlbiel`; on x86-64 INVLPG, INVPCID, INVLPGB, and what the library writes to CR3 or toggles in CR4 in order to invalidate.
    pub tlbis: u32,
    /// `dsb ishst` and `dsb nshst`, MFENCE, `sync`, `ptesync` with nothing in flight.
    pub store_barriers: u32,
    /// `dsb ish` and `dsb nsh`, TLBSYNC of x86-64, `ptesync` with invalidations in flight.
    pub completion_barriers: u32,
    /// `dsb oshst`, or the barrier of [`ModelBarriers`](crate::platform::ModelBarriers) before a doorbell.
    pub queue_barriers: u32,
    /// `isb`, `isync`.
    pub context_synchronisations: u32,
    /// H_RPT_INVALIDATE, whatever was answered.
    pub hypercalls: u32,
    /// CPUs interrupted.
    pub ipis: u32,
    /// Queue commands fetched, waits not counted; invalidations that links launched.
    pub commands: u32,
    /// Waits fetched (CMD_SYNC).
    pub syncs: u32,
    /// Doorbell writes, and those that launch.
    pub doorbells: u32,
}
