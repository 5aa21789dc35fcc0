//! Decisions as a few words, so that tables of them can be read.

use tlb_shootdown::arch::{aarch64, powerpc, x86_64};
use tlb_shootdown::change::{Decision, Reason, Told};

/// Call, depth, whether the size counts, until when it may be put off, whether the entry is invalid in between.
pub(crate) fn shown(decision: Decision) -> String {
    let words = [
        Some(format!("{:?}", decision.call())),
        Some(format!("{:?}", decision.depth())),
        decision.size_counts().then(|| "sized".into()),
        Some(format!("{:?}", decision.put_off())),
        decision
            .needs_invalid_between()
            .then(|| "invalid between".into()),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What the architectures decide: AArch64 without FEAT_BBM, POWER, x86-64.
pub(crate) fn decided(reason: Reason) -> [Decision; 3] {
    [
        aarch64::change::decide(reason, 0),
        powerpc::change::decide(reason),
        x86_64::change::decide(reason),
    ]
}

pub(crate) fn tells(decision: &Decision) -> bool {
    decision.told() != Told::None
}
