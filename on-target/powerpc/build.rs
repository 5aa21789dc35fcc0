//! Links kernels at their place; on a host there is nothing to link.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=link.ld");
    // The test macro asks for it.
    println!("cargo::rustc-check-cfg=cfg(rust_analyzer)");
    if var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let Ok(here) = var("CARGO_MANIFEST_DIR") else {
        panic!("cargo sets CARGO_MANIFEST_DIR for build scripts");
    };
    println!("cargo::rustc-link-arg=-T{here}/link.ld");
    // The target asks for position-independent executables; nobody would relocate this one.
    println!("cargo::rustc-link-arg=--no-pie");
    // Keeps the list of tests; found in the search path that the linker script's own crate adds.
    println!("cargo::rustc-link-arg-tests=-Tembedded-test.x");
}
