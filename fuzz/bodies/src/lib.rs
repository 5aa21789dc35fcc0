//! The bodies of the fuzz targets: plain functions of bytes that panic where a property of the library is broken.
//!
//! A fuzzer looks for bytes that make one of them panic; the tests of this crate run them on the seeds in `fuzz/seeds` and on bytes that
//! are drawn from fixed numbers, so that every run of the test command fuzzes a little. What is emitted is decoded by constants of this
//! crate's own, never by the library's layouts.

mod cpu;
pub mod engine;
mod input;
mod iommu;
pub mod ranges;
mod runs;

pub use cpu::{aarch64, powerpc, x86_64};
pub use iommu::{amd, ocxl, smmuv3, vtd};

/// A target: its name, which is also that of its folder of seeds, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("ranges", ranges::run),
    ("aarch64", aarch64::run),
    ("x86_64", x86_64::run),
    ("powerpc", powerpc::run),
    ("smmuv3", smmuv3::encode),
    ("amd", amd::encode),
    ("vtd", vtd::encode),
    ("ocxl", ocxl::run),
    ("smmuv3_ring", smmuv3::ring),
    ("amd_ring", amd::ring),
    ("vtd_ring", vtd::ring),
    ("engine", engine::run),
];

/// `len` bytes that depend on the number alone (SplitMix64), for runs without a fuzzer.
pub fn bytes_of(number: u64, len: usize) -> Vec<u8> {
    let mut state = number;
    let word = |_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).to_le_bytes()
    };
    (0..len.div_ceil(8)).flat_map(word).take(len).collect()
}
