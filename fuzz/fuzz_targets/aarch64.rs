#![no_main]

use libfuzzer_sys::fuzz_target;
use tlb_shootdown_fuzz_bodies::aarch64;

fuzz_target!(|data: &[u8]| aarch64::run(data));
