#![no_main]

use libfuzzer_sys::fuzz_target;
use tlb_shootdown_fuzz_bodies::amd;

fuzz_target!(|data: &[u8]| amd::ring(data));
