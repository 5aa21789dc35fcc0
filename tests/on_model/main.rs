//! The whole library on the model: engine, AArch64 and its mailbox, judged by the oracle.

mod faulty;
mod rig;
mod stand_in;
