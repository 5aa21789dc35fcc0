//! POWER on a recorder: operands, plans, sequences, defects, PIDs, and who is flushed where.

mod accelerator;
mod batch;
mod change;
mod common;
mod defects;
mod hypervisor;
mod joining;
mod kernel;
mod nest;
mod operand;
mod page;
mod partition;
mod pids;
mod process;
mod range;
mod scope;
mod upgrade;
