//! The mistakes. Where somebody is known to have made one, it says who: commits and versions are of Linux where nothing else is said.

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// One mistake that the library can be made to make.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Defect {
            $($(#[doc = $doc])+ $name,)+
        }

        #[cfg(tlb_defects)]
        impl Defect {
            /// All of them, by name, each with what it is.
            pub(super) const ALL: &[(Self, &str, &str)] =
                &[$((Self::$name, stringify!($name), concat!($($doc),+)),)+];
        }
    };
}

defects! {
    // The engine, whatever the architecture.
    /// The stores are not made visible before the first invalidation (page_table_multiarch, axcpu, Theseus; OSv #1117 on hardware).
    StoreBarrierLeftOut,
    /// A CPU that is a member already walks before that can be seen (Linux 83b0177a6c48).
    MembershipUnordered,
    /// Who may hold entries is read before the stores can be seen, so that who joins in between is missed.
    ScopeReadBeforeStores,
    /// The identifier is read before the stores can be seen, so that one given in between is missed.
    IdReadBeforeStores,
    /// What was issued is not waited for.
    CompletionLeftOut,
    /// What one CPU issued is completed by whichever waits.
    CompletionOnAnotherCpu,
    /// A batch's changes are issued where they are added, and completed where it is flushed (Linux' batched unmap on AArch64).
    BatchIssuedWhenAdded,
    /// A flush stays on this CPU whoever runs the space (axcpu; Zephyr #98344; tgoskits #2008).
    LocalWhereOthersRun,
    /// Nobody else is asked (asterinas #2849; Hermit; svsm #1188; litebox #671; nanvix #368).
    OthersNotAsked,
    /// CPUs that borrow the root are not asked where tables are freed (Linux skips them for unshared tables on x86-64).
    LazyNotAskedForTables,
    /// Where no CPU runs the space its devices are not told either (Linux, riscv: `__flush_tlb_range`).
    NobodyToldWithoutCpus,
    /// The flush of one page tells no secondary TLB (Linux, POWER: open).
    PageFlushTellsNoDevice,
    /// The range was used up by the flush of the CPUs, and what is told lies behind it (Linux f7edb07ad7c6).
    RangeUsedUpBeforeNotice,
    /// Secondary TLBs are not told of an upgrade (Linux before 6.6).
    UpgradeNotTold,
    /// A flush of kernel mappings stays local where user faults are repaired.
    KernelUpgradeRepaired,
    /// Freed kernel tables are told to no IOMMU (Linux before 6.19, e37d5a2d60a3; CVE-2025-71202).
    KernelTablesNotTold,
    /// A kernel range that ends with the address space has no end to compare with, and is taken for nothing.
    KernelRangeToTheTopLost,
    /// Device TLBs behind an IOMMU that snoops are told before the broadcast is complete.
    SnooperToldBeforeCompletion,
    /// A flush stays local although an IOMMU relies on its broadcast.
    SnoopersNeedNoBroadcast,
    /// A device is attached and may walk before that can be seen.
    DeviceJoinsUnordered,
    /// A retired space's devices are told to stop, and not waited for.
    ReleaseNotWaitedFor,
    /// CPUs that borrow the root of a retired space are left on it.
    RootKeptByBorrowers,
    /// A CPU comes online with what its TLB held from before.
    OnlineWithoutFlush,
    /// The identifier of a retired space is given back as it is.
    RetiredWithoutFlush,
    /// Memory comes free when it is handed over (Hermit; Twizzler).
    FreedWhenHanded,
    /// A time-out is told and the memory freed all the same (Twizzler; all four of Linux' drivers).
    FreedOnTimeOut,
    /// A request is acknowledged before it is carried out (FreeBSD, NrOS: sound for user pages alone).
    AckBeforeFlush,
    /// The acknowledgement is of the newest request, which has not been read (Redox; seLe4n #854).
    AckOfWhateverIsNewest,
    /// A request that is not answered is overwritten by the next (NrOS; asterinas #1949).
    OpenRequestOverwritten,
    /// Who waits with interrupts off answers nobody (asterinas #1158, #1602, #1952; Uros #317).
    WaitingServesNobody,
    /// What a full queue did not take is given up.
    FullQueueForgotten,
    /// A device that reports an error counts as done.
    DeviceErrorForgotten,
    /// The new entry is stored while the old one is still live.
    InvalidStepLeftOut,
    /// An entry that is gone counts as flushed although a batch holds it (what Linux' `tlb_flush_pending` is for).
    PendingFlushForgotten,
    /// An operation does not flush what another has cleared beside it (what Linux' nested gathers widen for).
    OtherGathersForgotten,
    /// I/O begins before the flush of a page that was dirty (a lost write; what Linux' `try_to_unmap_flush_dirty` is for).
    DirtyPagesWrittenFirst,
    /// Changes of a batch are merged upward, and nobody is told.
    BatchMergesUncounted,
    /// Of several secondary TLBs the first alone is told.
    OtherSecondariesSkipped,
    /// Interrupts stay off while somebody waits (what makes a watchdog bark, and a second shootdown late).
    InterruptsOffWhileWaiting,
    /// Who waits for calls under way to end answers nobody.
    DetachServesNobody,
    /// Devices get a deadline of their own once the CPUs have answered.
    DeadlineForDevicesAlone,
    /// A batch keeps a change for each page, also where they lie side by side.
    NeighboursKeptApart,

    // Interval subscriptions.
    /// The end of a range is taken for exclusive, and its last page told to nobody.
    LastPageLeftOut,
    /// The end of a range is rounded inwards: a large page concerns those alone who have its first byte.
    EndRoundedInwards,
    /// A subscription's number is not set when an invalidation begins (in Linux each subscriber has to).
    SequenceNotRaised,
    /// What was read before an invalidation is filled in after it.
    CollisionForgotten,
    /// Who subscribes while something is changed reads at once.
    NewcomerNotHeldOff,
    /// Who unsubscribes is told that it is gone, while calls may still be under way.
    UnsubscribeDoesNotWait,
    /// Of those that were told to start one alone is waited for.
    OneSubscriberWaitedFor,
    /// The page table is changed although somebody has not answered (Linux has no way to say so).
    ChangedAfterTimeOut,
    /// A mark that is recorded late takes the place of a newer one.
    OlderMarkWins,
    /// A subscriber is called with the lock held, under which it may subscribe.
    CalledUnderTheLock,
    /// A run ends and those who wait for its end are not woken.
    ReadersNotWoken,
    /// What was released can still be read.
    ReadAfterRelease,

    // AArch64.
    /// NUM = 32 is cut to nothing, and the largest range skipped (Linux, fixed in 6.9: "Fix TLBI RANGE operand").
    RangeOf32UnitsSkipped,
    /// Sign bits of the address run into TTL and ASID (Redox; Twizzler; Managarm; page_table_multiarch #21; LK #386; unikraft #1149).
    AddressNotMasked,
    /// The address is in units of the granule (Zephyr #115708).
    AddressShiftedByGranule,
    /// An ASID of 16 bits is kept in 8 (seL4 #1735).
    AsidCutTo8Bits,
    /// An unshared table stays in the walk caches (Linux until 2026).
    UnshareKeepsWalkCache,
    /// Only last-level entries are dropped where tables are freed.
    WalkCachesKept,
    /// The stride of a range passes for the level of its entries.
    LevelByStride,
    /// The stores are made visible to this CPU's walker alone.
    NarrowStoreBarrier,
    /// The repeat that errata ask for is left out (everybody but Linux and Xen).
    RepeatLeftOut,
    /// The flush of everything is not broadcast (page_table_multiarch; axcpu).
    FullFlushStaysLocal,
    /// The process's own ASID of a pair is not flushed.
    KptiFlushesOneAsid,
    /// The instruction stream goes on under the old kernel mapping.
    KernelFlushWithoutIsb,
    /// A CPU takes up a new generation with the entries of the last.
    RolloverWithoutFlush,
    /// Of a space that runs on several CPUs one reservation is renewed.
    OneReservationRenewed,
    /// A range without range operations is flushed page by page, however long (Linux: soft lockups).
    TlbisUnlimited,
    /// A range is widened to the whole space, and nobody is told.
    AsidEscalationUncounted,
    /// The instruction stream is resynchronised before the invalidation is complete.
    IsbBeforeDsb,
    /// One page is flushed as the whole space.
    OnePageFlushesSpace,

    // x86-64.
    /// INVLPGB names no valid ASID, and guests lose their entries (Linux 634ab76159a8).
    InvlpgbWithoutAsid,
    /// The count of INVLPGB is not one less (the crate `x86_64`).
    InvlpgbCountsOneMore,
    /// INVLPGB of a range is widened to the whole space, or to everything, and nobody is told (this crate, until its model counted).
    InvlpgbEscalationUncounted,
    /// INVLPGB is not waited for.
    TlbsyncLeftOut,
    /// INVLPGB keeps upper levels where tables are freed.
    FinalEntriesOnly,
    /// The pages of one change bring a CPU past earlier ones.
    GenerationJumped,
    /// A PCID's entries are kept for the next space that gets it.
    SlotChangesHandsUnclean,
    /// The flush of everything reloads CR3, which keeps global entries.
    GlobalEntriesKept,
    /// The process's own PCID is not flushed.
    KptiForgetsUserPcid,
    /// A CPU in the middle of a switch shows what it is about to leave.
    SwitchNotShown,
    /// A range is flushed page by page, however long.
    CeilingIgnored,
    /// INVPCID names the PCID beside the one that changed.
    InvpcidOfAnotherPcid,

    // POWER.
    /// The stores are ordered between CPUs and not for walkers.
    SyncForPtesync,
    /// `tlbie` is closed without `tlbsync`.
    TlbsyncOfPowerLeftOut,
    /// Walk caches of pages are not dropped where tables are freed.
    WalksKept,
    /// Of the sizes that an entry may have the smallest alone is invalidated.
    OneSizeOfSeveral,
    /// The defects of POWER9 are not mended (Linux before its fixups of `tlbie`).
    Power9NotMended,
    /// A local flush of POWER9 drops one set of the TLB.
    OneSetOfMany,
    /// A process's table entry stays cached when its PID is given back.
    ProcessEntryKept,
    /// A hypervisor that is busy counts as one that has invalidated.
    BusyTakenForDone,
    /// The hypervisor is to find larger pages by going through the range of the small ones, which begins within one (Linux, which names 2 MiB
    /// beside any range of its base pages).
    LargerPagesAskew,
    /// A range is flushed page by page, however long.
    PowerCeilingIgnored,
    /// A range is widened to the whole process, and nobody is told (FreeBSD on POWER).
    ProcessEscalationUncounted,
    /// What is for every CPU is invalidated by `tlbiel`.
    BroadcastStaysLocal,
    /// `tlbsync` is issued before the `eieio` that orders it behind the invalidations.
    TlbsyncBeforeEieio,
    /// An invalidation names the PID beside the one that changed.
    TlbieOfAnotherPid,

    // SMMUv3.
    /// One page is written as a range, which is reserved (CERROR_ILL).
    OnePageAsRange,
    /// A device TLB is told beside the SMMU's own, from which it is filled again.
    TlbiAndAtcInOneWindow,
    /// The producer's wrap bit stays as it is.
    WrapBitNotToggled,
    /// A range of which a device TLB takes two blocks is told as the first.
    AtcBlockLost,
    /// A range of any length is told page by page (Linux d5afb4b47e13, CVE-2023-52484).
    HugeRangeUnlimited,
    /// A command that is refused is replaced by CMD_SYNC, whosever it was (Linux).
    RefusedCommandLost,
    /// The acknowledgement toggles errors that are not active.
    InactiveErrorsToggled,
    /// Erratum T264: the invalidation is repeated in the window of the first.
    RepeatWithoutItsSync,
    /// Device TLBs are told in units smaller than their own.
    StuIgnored,
    /// A released context is still walked.
    SmmuWalkLeftOn,
    /// A device that did not answer is not looked for.
    SmmuSilenceBelieved,
    /// A detached space's ASID is given again without having been flushed.
    SmmuAsidReusedUnclean,
    /// The SMMU claims to walk anew before it faults.
    SmmuUpgradesNotNeeded,
    /// The doorbell is rung before the commands can be seen.
    SmmuEntriesUnpublished,
    /// Freed kernel tables are forgotten by the SMMU and kept by devices.
    SmmuKernelTablesIgnored,
    /// A range is widened to the whole space, and nobody is told.
    SmmuEscalationUncounted,
    /// A command names the ASID beside the one that changed.
    SmmuTlbiOfAnotherAsid,
    /// SCALE is one less.
    SmmuScaleOneLess,
    /// Walk caches are kept where tables are freed.
    SmmuLeafWhereTablesAreFreed,
    /// TTL says that a range is of pages, which is not known.
    SmmuLevelGuessed,
    /// What is submitted counts as done.
    SmmuSubmittedTakenForDone,
    /// A ring without room takes a request, and forgets it.
    SmmuFullSwallowed,
    /// The ring lock is held while set-up waits.
    SmmuLockedWhileWaiting,
    /// A look at a fence reads the consumer's register although the completion comes as a message.
    SmmuRegisterReadEachLook,

    // AMD IOMMU.
    /// The last slot is used, and a full buffer looks empty.
    AmdGapNotKept,
    /// A range that takes two blocks is told as the first.
    AmdBlockLost,
    /// Who finds nothing open returns, although his commands are under way (Linux up to 7.1; 1e75a82).
    WaitOwedByFlag,
    /// PASID\[19:16\] is not written to bits 27:24 of the second doubleword.
    PasidCutTo16Bits,
    /// A device TLB is told beside the IOMMU's own, from which it is filled again.
    DeviceTlbNotDeferred,
    /// A buffer is started anew as if nothing had been under way (Linux: reset).
    RestartForgetsCommands,
    /// A released PASID is still in the GCR3 table.
    AmdWalkLeftOn,
    /// The store of a COMPLETION_WAIT passes for the devices' answer.
    AmdSilenceBelieved,
    /// A detached space's translations stay for whoever gets its tag.
    AmdTagReusedUnclean,
    /// The IOMMU claims to walk anew before it faults.
    AmdUpgradesNotNeeded,
    /// Freed kernel tables are not forgotten.
    AmdKernelTablesIgnored,
    /// The tail is written before the commands can be seen.
    AmdDoorbellUnordered,
    /// A buffer that halts at the same command is started anew without end.
    AmdRepeatsForEver,
    /// A range is widened to everything, and nobody is told.
    AmdEscalationUncounted,
    /// A block is written as half its size.
    AmdBlockHalved,
    /// PDE is clear where tables are freed, and directories are kept.
    AmdDirectoriesKept,
    /// What is submitted counts as done.
    AmdSubmittedTakenForDone,
    /// A buffer without room takes a request, and forgets it.
    AmdFullSwallowed,
    /// The ring lock is held while set-up waits.
    AmdLockedWhileWaiting,
    /// A look at a fence reads the head register, which says what was fetched and no more.
    AmdRegisterReadEachLook,

    // VT-d.
    /// Everything as (0, -1) is rounded up to no pages (Linux e7ad6c2a4b1a).
    FullFlushRoundedToNothing,
    /// The last slot is used, and a full queue looks empty.
    VtdGapNotKept,
    /// An address mask passes what CAP.MAMV allows.
    MaskBeyondMamv,
    /// S of a device-TLB invalidation is clear: the block is one page.
    SizeBitForgotten,
    /// The physical function is named where ECAP.DIT is clear, and the field reserved.
    PfsidWithoutDit,
    /// A descriptor that is refused is replaced by a wait, whosever it was (Linux).
    RefusedDescriptorLost,
    /// After a time-out nothing of what was aborted with it is done again.
    AbortedWaitsLost,
    /// A released PASID entry stays present.
    VtdWalkLeftOn,
    /// A released PASID entry stays in the PASID cache.
    PasidCacheKept,
    /// The unit claims to walk anew before it faults.
    VtdUpgradesNotNeeded,
    /// The doorbell is rung while stores stand in the chipset's buffer (asterinas #3920; seL4 #1729).
    WriteBufferNotFlushed,
    /// IH is set where tables are freed, and paging-structure caches are kept.
    HintWhereTablesAreFreed,
    /// Freed kernel tables are forgotten by the unit and kept by devices.
    VtdKernelTablesIgnored,
    /// A queue that stops at the same descriptor is let go on without end.
    VtdRepeatsForEver,
    /// A range is widened to the whole space, and nobody is told.
    VtdEscalationUncounted,
    /// A descriptor names the PASID beside the one that changed.
    VtdFlushOfAnotherPasid,
    /// The address mask is one less.
    VtdMaskOneLess,
    /// Device TLBs are told before the unit's own, from which they are filled again.
    VtdDeviceTlbFirst,
    /// What is submitted counts as done.
    VtdSubmittedTakenForDone,
    /// A queue without room takes a request, and forgets it.
    VtdFullSwallowed,
    /// The ring lock is held while set-up waits.
    VtdLockedWhileWaiting,

    // OpenCAPI.
    /// Page 0 is named by address 0, which stands for none.
    PageZeroByAddress,
    /// Sizes that radix tables lack are coded as 64 KiB (Linux).
    OddSizesAs64Kib,
    /// An invalidation is launched while another is under way.
    LaunchOverLaunch,
    /// What was launched last counts as complete.
    FenceBeforeLastLaunch,
    /// A process element is emptied before its device has let go.
    ElementClearedUnderDevice,
    /// A process element that was emptied stays in the PE cache.
    PeCacheKept,
    /// The link claims that devices walk anew before they fault.
    LinkUpgradesNotNeeded,
    /// Freed tables are told page by page.
    SizePromisedForTables,
    /// The last process element goes, and what was cached through it stays.
    EndWithoutInvalidation,
    /// An invalidation is launched before the stores that it is for can be seen.
    LaunchUnordered,
    /// A range is launched page by page, however long (Linux).
    LinkRangeUnlimited,
    /// A range is widened to the whole process, and nobody is told.
    LinkEscalationUncounted,
    /// A launch names the PID beside the one that changed.
    LinkLaunchOfAnotherPid,
    /// The lock of a link is held while a detach waits.
    LinkLockedWhileWaiting,
    /// A look at what is under way reads STAT twice.
    LinkLooksTwice,
}
