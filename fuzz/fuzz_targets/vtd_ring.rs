#![no_main]

use libfuzzer_sys::fuzz_target;
use tlb_shootdown_fuzz_bodies::vtd;

fuzz_target!(|data: &[u8]| vtd::ring(data));
