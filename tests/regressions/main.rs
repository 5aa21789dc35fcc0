//! Mistakes that kernels and drivers have made, each under the name of the bug: what happened, where, and what is to happen instead.
//!
//! `cargo xtask mutants` puts every one of them back into the library and sees its test fail; its table says which promise each breaks. Mistakes
//! that other tests hold already are in that table alone.

mod cpu;
mod iommu;
mod notifier;
#[path = "../support/mod.rs"]
mod support;

// The rigs of other test binaries.
#[path = "../aarch64/common.rs"]
#[allow(dead_code, unused_imports, reason = "a part of it is used")]
mod aarch64;
#[path = "../amd/fake.rs"]
#[allow(dead_code, unused_imports, reason = "a part of it is used")]
mod amd;
#[path = "../support/atsd.rs"]
mod atsd;
#[path = "../ocxl/fake.rs"]
#[allow(dead_code, unused_imports, reason = "a part of it is used")]
mod ocxl;
#[path = "../support/regions.rs"]
mod regions;
#[path = "../support/ring_lock.rs"]
mod ring_lock;
#[path = "../smmuv3/fake.rs"]
#[allow(dead_code, unused_imports, reason = "a part of it is used")]
mod smmuv3;
#[path = "../vtd/fake.rs"]
#[allow(dead_code, unused_imports, reason = "a part of it is used")]
mod vtd;
#[path = "../x86_64/common.rs"]
#[allow(dead_code, unused_imports, reason = "a part of it is used")]
mod x86_64;
