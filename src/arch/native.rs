//! Which of the architectures is the target's own.

cfg_if::cfg_if! {
    if #[cfg(target_arch = "aarch64")] {
        use super::aarch64::{Aarch64, instructions::Asm};

        /// The architecture of the target, on its own instructions.
        pub type Native<const WORDS: usize> = Aarch64<Asm, WORDS>;
    } else if #[cfg(target_arch = "powerpc64")] {
        use super::powerpc::{PowerPc, instructions::Asm};

        /// The architecture of the target, on its own instructions.
        pub type Native<const WORDS: usize> = PowerPc<Asm, WORDS>;
    } else if #[cfg(target_arch = "x86_64")] {
        use super::x86_64::{X86_64, instructions::Asm};

        /// The architecture of the target, on its own instructions.
        pub type Native<const WORDS: usize> = X86_64<Asm, WORDS>;
    }
}
