//! Commands as they are where a mistake is put back; otherwise what they were.

use super::command::Command;
use crate::defects::Defect;

/// A TLBI by ASID.
pub(super) fn tlbi_asid(command: Command) -> Command {
    let [w0, w1] = command.words();
    Command::from_words([Defect::SmmuTlbiOfAnotherAsid.flips(1 << 48, w0), w1])
}

/// A TLBI by address.
pub(super) fn tlbi_va(command: Command) -> Command {
    let [w0, w1] = command.words();
    // TG\[11:10\] is 0 where the command is of one address, 1 for 4 KiB; SCALE\[24:20\], TTL\[9:8\] and Leaf are of the rest
    // (IHI 0070 4.4.1.1).
    let w1 = Defect::OnePageAsRange.sets(1 << 10, w1);
    let is_range = w1 & 0b11 << 10 != 0;
    let w0 = if is_range && w0 & 0x1f << 20 != 0 && Defect::SmmuScaleOneLess.is_put_back() {
        w0 - (1 << 20)
    } else {
        w0
    };
    let level = if is_range { 0b11 << 8 } else { 0 };
    let w1 = Defect::SmmuLevelGuessed.sets(level, w1);
    Command::from_words([
        Defect::SmmuTlbiOfAnotherAsid.flips(1 << 48, w0),
        Defect::SmmuLeafWhereTablesAreFreed.sets(1, w1),
    ])
}
