//! AArch64: broadcast TLB maintenance.
