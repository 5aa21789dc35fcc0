//! x86-64: encodings as literals, what a change of an entry asks for, and on the recorder the exact order and operands of every
//! operation.
//!
//! Expected values are literals; where an operand has fields, the two sources of its layout are named in `operand.rs`. Roots and
//! identifiers: the n-th space of a world has its root at 0x20_0000 + n * 4096; slot n of a CPU is PCID n + 1, and bit 11 is set in
//! the identifier of the process's own root (Intel SDM Vol 3A 4.10.1; Linux' `arch/x86/mm/tlb.c`, the comment on "ASID" and
//! `X86_CR3_PTI_PCID_USER_BIT` 11).

mod asked;
mod broadcast;
mod change;
mod common;
mod ends;
mod features;
mod generations;
mod kernel;
mod kpti;
mod lazy;
mod operand;
mod page;
#[path = "../support/property.rs"]
mod property;
mod switching;
