//! Which of the architectures is the target's own.

use super::aarch64::{Aarch64, instructions::Asm};

/// The architecture of the target, on its own instructions.
pub type Native<const WORDS: usize> = Aarch64<Asm, WORDS>;
