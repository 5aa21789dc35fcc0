//! Every body on its seeds, and on bytes that are drawn from fixed numbers.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use tlb_shootdown_fuzz_bodies::{TARGETS, bytes_of};

/// Inputs of each body that are drawn here.
const DRAWN: u64 = 500;
/// Their lengths go up to this.
const LONGEST: u64 = 400;

#[track_caller]
fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.0 == name);
    let body = target.expect("a target").1;
    for (seed, bytes) in seeds(name) {
        assert!(catch_unwind(|| body(&bytes)).is_ok(), "the seed {seed}");
    }
    for number in 0..DRAWN {
        let bytes = bytes_of(number, (number % LONGEST) as usize);
        assert!(
            catch_unwind(|| body(&bytes)).is_ok(),
            "bytes_of({number}, {})",
            bytes.len()
        );
    }
}

fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../seeds")
        .join(name);
    let mut seeds: Vec<_> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| {
            (
                path.display().to_string(),
                fs::read(&path).expect("a readable seed"),
            )
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    seeds
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            assert_eq!(run, TARGETS.map(|target| target.0));
        }
    };
}

targets! {
    ranges, aarch64, x86_64, powerpc, smmuv3, amd, vtd, ocxl, smmuv3_ring, amd_ring, vtd_ring, engine,
}
