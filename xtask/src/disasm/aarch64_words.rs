//! The machine word of every instruction of `src/arch/aarch64/instructions`, as literals.
//!
//! Sources: the encodings of Arm ARM (DDI 0487) C6.2 (DSB, ISB, SYS, MRS) with the operation tables of C5.5 (TLBI) and
//! D24.2 (identification registers), each put together by hand; and, where the instruction has a mnemonic that no
//! identification register needs, LLVM's assembler, to which the check gives that mnemonic.

use super::methods::Method;
use super::set::{Literal, Set};
use crate::setup::rust_src;

/// AArch64's instructions.
pub(super) static SET: Set = Set {
    arch: "aarch64",
    target: rust_src::AARCH64,
    literals,
    ret: &0xd65f_03c0_u32.to_le_bytes(),
    length_of_move: |_| None,
    directive: ".arch_extension tlb-rmi",
    mnemonic,
};

fn literals() -> Vec<Literal> {
    let literal = |(name, word): (_, u32)| Literal {
        name,
        code: word.to_le_bytes().map(Into::into).to_vec(),
        registers: &[],
        may_move: false,
    };
    WORDS.map(literal).into()
}

/// Where the method's name alone tells it; the operand is `x0`.
fn mnemonic(method: &Method) -> Option<String> {
    let operand = if method.arguments.is_empty() {
        ""
    } else {
        ", x0"
    };
    match method.name.split_once('_') {
        Some((operation @ ("dsb" | "tlbi"), kind)) => Some(format!("{operation} {kind}{operand}")),
        None if method.name == "isb" => Some("isb".into()),
        _ => None,
    }
}

/// The name of a method and its machine word, operand or result in `x0`.
const WORDS: [(&str, u32); 29] = [
    // DSB: 1101_0101_0000_0011_0011 CRm 1 00 11111; CRm is ISHST 1010, NSHST 0110, ISH 1011, NSH 0111.
    ("dsb_ishst", 0xd503_3a9f),
    ("dsb_nshst", 0xd503_369f),
    ("dsb_ish", 0xd503_3b9f),
    ("dsb_nsh", 0xd503_379f),
    ("isb", 0xd503_3fdf),
    // TLBI: SYS #0, C8, Cm, #op2; Cm is 3 for broadcast, 7 for local, 2 and 6 for the same by range.
    ("tlbi_vae1is", 0xd508_8320),
    ("tlbi_vale1is", 0xd508_83a0),
    ("tlbi_vaae1is", 0xd508_8360),
    ("tlbi_vaale1is", 0xd508_83e0),
    ("tlbi_aside1is", 0xd508_8340),
    ("tlbi_vmalle1is", 0xd508_831f),
    ("tlbi_rvae1is", 0xd508_8220),
    ("tlbi_rvale1is", 0xd508_82a0),
    ("tlbi_rvaae1is", 0xd508_8260),
    ("tlbi_rvaale1is", 0xd508_82e0),
    ("tlbi_vae1", 0xd508_8720),
    ("tlbi_vale1", 0xd508_87a0),
    ("tlbi_vaae1", 0xd508_8760),
    ("tlbi_vaale1", 0xd508_87e0),
    ("tlbi_aside1", 0xd508_8740),
    ("tlbi_vmalle1", 0xd508_871f),
    ("tlbi_rvae1", 0xd508_8620),
    ("tlbi_rvale1", 0xd508_86a0),
    ("tlbi_rvaae1", 0xd508_8660),
    ("tlbi_rvaale1", 0xd508_86e0),
    // MRS x0, S3_0_C0_Cm_op2: MIDR (0, 0), ID_AA64MMFR0 (7, 0), ID_AA64MMFR2 (7, 2), ID_AA64ISAR0 (6, 0).
    ("midr", 0xd538_0000),
    ("id_aa64mmfr0", 0xd538_0700),
    ("id_aa64mmfr2", 0xd538_0740),
    ("id_aa64isar0", 0xd538_0600),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_mnemonics_of_barriers_and_invalidations() {
        let method = |name: &str, arguments: &[(&str, &str)]| Method {
            name: name.into(),
            arguments: arguments
                .iter()
                .map(|(name, kind)| (name.to_string(), kind.to_string()))
                .collect(),
            result: None,
        };
        let told = |method: Method| mnemonic(&method);
        assert_eq!(told(method("dsb_ish", &[])).as_deref(), Some("dsb ish"));
        let operand = [("operand", "u64")];
        assert_eq!(
            told(method("tlbi_vae1is", &operand)).as_deref(),
            Some("tlbi vae1is, x0")
        );
        assert_eq!(told(method("isb", &[])).as_deref(), Some("isb"));
        assert_eq!(told(method("midr", &[])), None);
    }
}
