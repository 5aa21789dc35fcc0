#![no_main]

use libfuzzer_sys::fuzz_target;
use tlb_shootdown_fuzz_bodies::ranges;

fuzz_target!(|data: &[u8]| ranges::run(data));
