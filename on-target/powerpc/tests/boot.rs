#![no_std]
#![no_main]
use on_target_powerpc as _;
