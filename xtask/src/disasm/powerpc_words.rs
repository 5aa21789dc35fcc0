//! The machine word of every instruction of `src/arch/powerpc/instructions`, as literals.
//!
//! Sources: the formats of Power ISA 3.0B and 3.1B, Book II 4.6 and Book III 6.9 and 5.4, each put together by hand. Second sources: LLVM's
//! assembler, to which the check gives the mnemonic, for what it knows; for TLBIE, TLBIEL and SLBIA with their operands of ISA 3.0 Linux'
//! `asm/ppc-opcode.h` and the decoder of QEMU (`TLBIE_F_*`).

use super::methods::Method;
use super::set::{Literal, Set};
use crate::setup::rust_src;

/// POWER's instructions.
pub(super) static SET: Set = Set {
    arch: "powerpc",
    target: rust_src::POWERPC,
    literals,
    ret: &RETURN,
    length_of_move,
    directive: "",
    mnemonic,
};

/// BLR, and the empty traceback table that follows every function (ELFv2 ABI 2.3.8, three words).
const RETURN: [u8; 16] = [0x20, 0x00, 0x80, 0x4e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn literals() -> Vec<Literal> {
    let literal = |(name, word): (_, u32)| Literal {
        name,
        code: word.to_le_bytes().map(Into::into).to_vec(),
        registers: &[],
        may_move: true,
    };
    WORDS.map(literal).into()
}

/// A piece of assembly gets a stack frame of its own: `stdu r1, -n(r1)` before it and `addi r1, r1, n` after it.
fn length_of_move(code: &[u8]) -> Option<usize> {
    let word = u32::from_le_bytes(code.first_chunk().copied()?);
    let pushes = word & 0xffff_8003 == 0xf821_8001;
    let pops = word & 0xffff_8000 == 0x3821_0000;
    (pushes || pops).then_some(4)
}

fn mnemonic(method: &Method) -> Option<String> {
    let known = match method.name.as_str() {
        name @ ("ptesync" | "sync" | "eieio" | "tlbsync" | "isync") => name,
        "cp_abort" => "cpabort",
        "pvr" => "mfpvr 3",
        _ => return None,
    };
    Some(known.into())
}

/// The name of a method and its machine word, RB in `r3`, RS in `r4`, a result in `r3`.
const WORDS: [(&str, u32); 20] = [
    // X-form, primary opcode 31: L\[8:10\] of SYNC is 0 and 2 of PTESYNC (extended opcode 598), EIEIO 854, TLBSYNC 566.
    ("ptesync", 0x7c40_04ac),
    ("sync", 0x7c00_04ac),
    ("eieio", 0x7c00_06ac),
    ("tlbsync", 0x7c00_046c),
    // XL-form, primary opcode 19, extended opcode 150.
    ("isync", 0x4c00_012c),
    // TLBIE: extended opcode 306; RS in bits 6:10, RIC 12:13, PRS 14, R 15, RB 16:20.
    ("tlbie_ric0_prs1", 0x7c83_1a64),
    ("tlbie_ric1_prs1", 0x7c87_1a64),
    ("tlbie_ric2_prs1", 0x7c8b_1a64),
    ("tlbie_ric0_prs0", 0x7c81_1a64),
    ("tlbie_ric1_prs0", 0x7c85_1a64),
    ("tlbie_ric2_prs0", 0x7c89_1a64),
    // TLBIEL: extended opcode 274.
    ("tlbiel_ric0_prs1", 0x7c83_1a24),
    ("tlbiel_ric1_prs1", 0x7c87_1a24),
    ("tlbiel_ric2_prs1", 0x7c8b_1a24),
    ("tlbiel_ric0_prs0", 0x7c81_1a24),
    ("tlbiel_ric2_prs0", 0x7c89_1a24),
    // SLBIA: extended opcode 498, IH in bits 8:10.
    ("slbia_ih3", 0x7c60_03e4),
    ("slbia_ih7", 0x7ce0_03e4),
    // CPABORT: extended opcode 838.
    ("cp_abort", 0x7c00_068c),
    // MFSPR: extended opcode 339; SPR 287 with its halves swapped.
    ("pvr", 0x7c7f_42a6),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_only_moves() {
        let length = |word: u32| length_of_move(&word.to_le_bytes());
        assert_eq!(length(0xf821_ffe1), Some(4)); // stdu r1, -32(r1)
        assert_eq!(length(0x3821_0020), Some(4)); // addi r1, r1, 32
        assert_eq!(length(0x3863_0020), None); // addi r3, r3, 32
        assert_eq!(length(0xf801_0010), None); // std r0, 16(r1)
        assert_eq!(length(0x7c40_04ac), None); // ptesync
        assert_eq!(length_of_move(&[0]), None);
    }
}
