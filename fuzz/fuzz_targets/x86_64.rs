#![no_main]

use libfuzzer_sys::fuzz_target;
use tlb_shootdown_fuzz_bodies::x86_64;

fuzz_target!(|data: &[u8]| x86_64::run(data));
