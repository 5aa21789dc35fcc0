//! The machine code of every instruction of `src/arch/x86_64/instructions`, as literals.
//!
//! Sources: Intel SDM volume 2 (INVLPG, INVPCID, MOV to and from control registers, MFENCE, CPUID) and AMD APM volume 3
//! (INVLPGB, TLBSYNC), each put together by hand; and LLVM's assembler, to which the check gives the mnemonic.

use super::methods::Method;
use super::set::{Literal, Masked, Set};
use super::x86_64_moves;
use crate::setup::rust_src;

/// x86-64's instructions.
pub(super) static SET: Set = Set {
    arch: "x86_64",
    target: rust_src::X86_64,
    literals,
    ret: &[0xc3],
    length_of_move: x86_64_moves::length,
    directive: "",
    mnemonic,
};

/// Name, bytes and mnemonic of what is exactly one instruction and a return: the first argument comes in RDI, a result
/// goes out in RAX, and those of INVLPGB are put where it wants them.
///
/// A ModRM byte is mod (2 bits), reg or opcode extension (3), rm (3); rm is 7 for RDI, 0 for RAX.
const ALONE: [(&str, &[u8], &str); 8] = [
    ("mfence", &[0x0f, 0xae, 0xf0], "mfence"),
    // INVLPG m: 0F 01 /7; mod 00.
    ("invlpg", &[0x0f, 0x01, 0x3f], "invlpg [rdi]"),
    // MOV r64, CRn: 0F 20 /r; MOV CRn, r64: 0F 22 /r; mod 11, reg n.
    ("read_cr3", &[0x0f, 0x20, 0xd8], "mov rax, cr3"),
    ("write_cr3", &[0x0f, 0x22, 0xdf], "mov cr3, rdi"),
    ("read_cr4", &[0x0f, 0x20, 0xe0], "mov rax, cr4"),
    ("write_cr4", &[0x0f, 0x22, 0xe7], "mov cr4, rdi"),
    ("invlpgb", &[0x0f, 0x01, 0xfe], "invlpgb"),
    ("tlbsync", &[0x0f, 0x01, 0xff], "tlbsync"),
];

/// INVPCID r64, m128: 66 0F 38 82 /r, a REX prefix before the opcode. The type is in R11 (REX.R and reg 3); which register
/// holds the descriptor's address (REX.B and rm, mod 00) is the compiler's choice, and its bits do not count.
const INVPCID: [(u8, u8); 6] = [
    (0x66, 0xff),
    (0x44, 0xfe),
    (0x0f, 0xff),
    (0x38, 0xff),
    (0x82, 0xff),
    (0x18, 0xf8),
];

const CPUID: [u8; 2] = [0x0f, 0xa2];

fn literals() -> Vec<Literal> {
    let alone = ALONE.map(|(name, code, _)| Literal {
        name,
        code: code.iter().copied().map(Masked::from).collect(),
        registers: match name {
            "invlpgb" => &["rax", "ecx", "edx"],
            _ => &[],
        },
        may_move: false,
    });
    // Its descriptor must be put into memory.
    let invpcid = Literal {
        name: "invpcid",
        code: INVPCID.map(|(value, mask)| Masked { value, mask }).into(),
        registers: &["r11"],
        may_move: true,
    };
    // RBX is saved around it, and its four results are put together.
    let cpuid = Literal {
        name: "cpuid",
        code: CPUID.map(Masked::from).into(),
        registers: &["eax", "ecx"],
        may_move: true,
    };
    alone.into_iter().chain([invpcid, cpuid]).collect()
}

fn mnemonic(method: &Method) -> Option<String> {
    let known = match method.name.as_str() {
        "invpcid" => Some("invpcid r11, [rax]"),
        "cpuid" => Some("cpuid"),
        name => {
            let mut alone = ALONE.iter().filter(|(known, ..)| *known == name);
            alone.next().map(|(.., mnemonic)| *mnemonic)
        }
    };
    known.map(String::from)
}
