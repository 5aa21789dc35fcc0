//! x86-64 on the model: engine, mailboxes, generations and INVLPGB, judged by the oracle.

mod faulty;
mod machine;
mod properties;
mod rig;
mod spaces;
mod upgrade;
