//! x86-64: encodings as literals, and what a change of an entry asks for.

mod change;
mod operand;
