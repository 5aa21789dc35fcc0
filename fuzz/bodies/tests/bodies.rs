//! Every body on its seeds, and on bytes that are drawn from fixed numbers.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use tlb_shootdown_fuzz_bodies::{TARGETS, bytes_of};

/// Inputs of each body that are drawn here.
const DRAWN: u64 = 500;
/// Their lengths go up to this.
const LONGEST: u64 = 400;

fn body(name: &str) -> fn(&[u8]) {
    let target = TARGETS.iter().find(|target| target.0 == name);
    target.expect("a target").1
}

#[track_caller]
fn run_seeds(name: &str) {
    let (body, seeds) = (body(name), seeds(name));
    let failed: Vec<_> = seeds
        .iter()
        .filter(|(_, bytes)| catch_unwind(|| body(bytes)).is_err())
        .map(|(seed, _)| seed)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[track_caller]
fn run_drawn(name: &str) {
    let body = body(name);
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
        mod seeds_of {
            $(#[test]
            fn $name() {
                super::run_seeds(stringify!($name));
            })*
        }

        mod drawn_for {
            $(#[test]
            fn $name() {
                super::run_drawn(stringify!($name));
            })*
        }

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
