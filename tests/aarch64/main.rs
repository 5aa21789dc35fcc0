//! AArch64 on the recorder: the exact order and operands of every operation.
//!
//! Expected values are literals with two sources. First, the field positions of Arm ARM C5.5 ("TLBI VAE1IS": ASID\[63:48\],
//! TTL\[47:44\], VA\[43:0\]; "TLBI RVAE1IS": ASID\[63:48\], TG\[47:46\], SCALE\[45:44\], NUM\[43:39\], TTL\[38:37\], BaseADDR\[36:0\]),
//! added up in the comments. Second, the decoders of an emulator, `target/arm/tcg/tlb-insns.c` of QEMU 9 (`extract64(value, 39, 5)`
//! for NUM, `sextract64(value, 0, 37)` for the base, `sextract64(value << 12, 0, 56)` for a single address), which get the request
//! back out of them; `coverage.rs` does the same for any request.

mod common;

mod activation;
mod bounded;
mod change;
mod coverage;
mod errata;
mod features;
mod historic;
mod kernel;
mod page;
#[path = "../support/property.rs"]
mod property;
mod range;
mod space;
mod stress;
