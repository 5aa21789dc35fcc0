//! A bare-metal AArch64 kernel that shows and cures stale translations.
#![cfg_attr(target_os = "none", no_std)]
