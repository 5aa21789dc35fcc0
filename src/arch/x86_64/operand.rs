//! What the invalidating instructions find in their registers and in memory. Pure layout.

pub mod cr3;
pub mod invlpgb;
pub mod invpcid;
mod pcid;
mod run;

pub use pcid::Pcid;
pub(super) use run::leaf_size;
pub use run::{MaxCount, Run, Runs, Stride, split};
