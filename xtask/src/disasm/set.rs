//! What is compared: the instruction methods of one architecture with literals from its manual.

use super::methods::Method;

/// The instructions of one architecture.
pub(super) struct Set {
    /// The architecture's name, and that of its module.
    pub(super) arch: &'static str,
    /// The target they are built for.
    pub(super) target: &'static str,
    /// The literals.
    pub(super) literals: fn() -> Vec<Literal>,
    /// The return that ends every function.
    pub(super) ret: &'static [u8],
    /// How long a move between registers and memory at the head of some code is, where one may stand beside the instruction.
    pub(super) length_of_move: fn(&[u8]) -> Option<usize>,
    /// What the assembler must be told before the mnemonics.
    pub(super) directive: &'static str,
    /// The instruction of a method in assembly, where a second source of its code is wanted.
    pub(super) mnemonic: fn(&Method) -> Option<String>,
}

/// The machine code of one method.
pub(super) struct Literal {
    /// The method's name.
    pub(super) name: &'static str,
    /// Its bytes.
    pub(super) code: Vec<Masked>,
    /// The registers that its first arguments are put into, so that no code is needed to get them there; the others come
    /// as the compiler passes them.
    pub(super) registers: &'static [&'static str],
    /// Whether moves between registers and memory may stand around it.
    pub(super) may_move: bool,
}

/// A byte of machine code of which only the bits of the mask count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masked {
    pub(super) value: u8,
    pub(super) mask: u8,
}

impl From<u8> for Masked {
    fn from(value: u8) -> Self {
        Self { value, mask: 0xff }
    }
}

impl Literal {
    /// Whether some code begins with it.
    pub(super) fn begins(&self, code: &[u8]) -> bool {
        let same = |(byte, wanted): (&u8, &Masked)| byte & wanted.mask == wanted.value;
        code.len() >= self.code.len() && code.iter().zip(&self.code).all(same)
    }
}
