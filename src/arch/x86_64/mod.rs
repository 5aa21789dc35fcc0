//! x86-64: every CPU invalidates its own entries when it is asked, or one CPU broadcasts where there is INVLPGB.

pub mod change;
pub mod global_ids;
pub mod operand;
