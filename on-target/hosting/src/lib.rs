//! `embedded-test` for machines without semihosting: the same macro, the same list of tests in the image, the same command.
//!
//! A kernel depends on this crate under the name `embedded-test`, because the macro expands to that name. What its
//! original asks of semihosting comes from the kernel here: the words with which the image was booted and the end of the
//! run. A runner boots one test at a time with the words `run_addr ADDRESS`, the address in decimal, as for the original;
//! a panic ends the run by the kernel's own panic handler.
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

use embedded_test_linker_script as _;
pub use embedded_test_macros::tests;

/// What the expansion of [`tests`] names.
pub mod export {
    use core::fmt::Debug;

    /// Ends the run as the outcome says.
    ///
    /// # Panics
    /// Where a test gives an error.
    pub fn check_outcome(outcome: impl TestOutcome) -> ! {
        outcome.check();
        // SAFETY: the kernel defines it with this signature.
        unsafe { crate::hosting_passed() }
    }

    /// What a test may return.
    pub trait TestOutcome {
        /// Panics where the test has failed.
        fn check(self);
    }

    impl TestOutcome for () {
        fn check(self) {}
    }

    impl<T, E: Debug> TestOutcome for Result<T, E> {
        fn check(self) {
            if let Err(error) = self {
                panic!("the test gave {error:?}");
            }
        }
    }
}

// What the kernel defines, besides a panic handler.
unsafe extern "Rust" {
    /// The words with which the image was booted.
    fn hosting_words() -> &'static str;
    /// Ends the run well.
    fn hosting_passed() -> !;
}

/// The version of the list's layout, which the runner checks.
#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".embedded_test.meta")]
static EMBEDDED_TEST_VERSION: usize = 1;

/// Entered by the kernel when it is up. The linker script gives [`__embedded_test_start`] this name, so that an image which
/// was linked without the script, and so without its list of tests, does not link at all.
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    unsafe extern "C" {
        fn embedded_test_linker_file_not_added_to_rustflags() -> !;
    }
    // SAFETY: the function below, which takes nothing.
    unsafe { embedded_test_linker_file_not_added_to_rustflags() }
}

/// Runs the test that the words name.
#[unsafe(no_mangle)]
extern "C" fn __embedded_test_start() -> ! {
    // SAFETY: the kernel defines it with this signature.
    let words = unsafe { hosting_words() };
    let Some(("run_addr", address)) = words.trim().split_once(' ') else {
        panic!("booted with `{words}`, not with `run_addr ADDRESS`");
    };
    let address: usize = address.parse().expect("a decimal address");
    // SAFETY: the runner took the address from the image's own list of functions of this type.
    let test: fn() -> ! = unsafe { core::mem::transmute(address) };
    test()
}
