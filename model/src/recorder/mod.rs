//! Recorders: implementors of the library's instruction traits that execute nothing and write down everything.

pub mod aarch64;
pub mod powerpc;
pub mod x86_64;
