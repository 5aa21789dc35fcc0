//! What is shown: cases, observers, and the words for what was seen.
#![no_std]
