//! What is not attacked, and why.

use super::Column::{self, Aarch64, Amd, Ocxl, PowerPc, Smmuv3, Vtd, X86_64};

/// Cells of the matrix without a mistake: the promise, where, and the reason.
pub(in crate::mutants) const WITHOUT: &[(u8, &[Column], &str)] = &[
    (
        1,
        &[X86_64],
        "its barrier is the engine's, and left out it is StoreBarrierLeftOut",
    ),
    (
        2,
        &[Aarch64, PowerPc],
        "who joins is published by the engine; of the architecture is the barrier, whose mistakes break promise 1",
    ),
    (
        2,
        &[Smmuv3, Amd, Vtd, Ocxl],
        "a space is listed under the ring lock before a table leads to it; the order to who flushes is DeviceJoinsUnordered",
    ),
    (
        4,
        &[Aarch64, X86_64, PowerPc],
        "memory belongs to the ticket; an architecture that vouches for too much breaks promise 3",
    ),
    (
        4,
        &[Vtd],
        "a wait that a time-out has aborted is never written: nobody can take it for an answer",
    ),
    (
        5,
        &[Aarch64],
        "its invalidations are instructions: there is no request to lose",
    ),
    (
        6,
        &[Aarch64, X86_64, PowerPc],
        "who waits, and whom he serves meanwhile, is the engine's",
    ),
    (
        9,
        &[Aarch64, X86_64, PowerPc],
        "whom an upgrade reaches is decided in the engine",
    ),
    (
        10,
        &[Aarch64, X86_64, PowerPc],
        "it is of devices; roots that CPUs have borrowed are the engine's",
    ),
];

/// Known mistakes that cannot be made here, and why.
pub(in crate::mutants) const IMPOSSIBLE: &[(&str, &str)] = &[
    (
        "an empty range, an end before its start, (0, -1) for everything",
        "a range has a page at least, and everything is a word of its own",
    ),
    (
        "a subscriber of both kinds, an end for a start that was refused",
        "the two kinds exclude each other as types, and only those that began are told the end",
    ),
    (
        "a first user that brings no subscriber (version 3 of Linux' series)",
        "attachments and intervals share no registration",
    ),
    (
        "a teardown that relied on a release which never came (`mmu_notifier_put`)",
        "there is no such teardown: who unsubscribes is not called, and who attaches detaches",
    ),
    (
        "a request that points into the stack of a CPU that gave up waiting",
        "requests are values",
    ),
    (
        "a page-table lock, or an allocator's, held by who has to answer",
        "the lock is the kernel's; its loops call `poll`",
    ),
    (
        "a CPU that counts before it can take the interrupt (OSv #102, asterinas #2823)",
        "the kernel says when it can",
    ),
    (
        "a line of log from within an NMI or an interrupt (Theseus)",
        "the crate writes none",
    ),
    (
        "a path without its bound, in the engine",
        "it does not end, and a test that does not end proves nothing; bounds of other kinds are in the matrix under promise 12",
    ),
    (
        "a structure that grows",
        "sizes are fixed when compiled, and one build has all mistakes; `tests/footprint.rs` compares them with literals",
    ),
    (
        "a wrong wrap bit of an AMD or a VT-d ring",
        "those rings have none, and keep a gap",
    ),
    (
        "too much invalidated, or twice",
        "it is legal; what is not counted is in the matrix under promise 11",
    ),
];
