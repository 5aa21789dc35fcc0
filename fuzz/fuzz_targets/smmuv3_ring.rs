#![no_main]

use libfuzzer_sys::fuzz_target;
use tlb_shootdown_fuzz_bodies::smmuv3;

fuzz_target!(|data: &[u8]| smmuv3::ring(data));
