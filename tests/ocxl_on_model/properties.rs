//! Random kernels whose processes share their tables with accelerators: whatever they do, nothing stale is used or held once a flush
//! has returned, no element is missed, no right is widened under a nest MMU that cannot follow, and nothing is lost.

use crate::accelerators::Accelerators;
use crate::linked::kinds;
use crate::own::{Own, ops};
use crate::random_kernel::{CPUS, Kernel, Left, Op, noticing, random_kernels};
use crate::rig::{Parts, Rig};
use proptest::prelude::*;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::powerpc::CpuFeatures;
use tlb_shootdown_model::ocxl::LinkOptions;

/// The machine that a run is on.
#[derive(Clone, Copy, Debug)]
struct Setting {
    kind: usize,
    temper: Temper,
    pages_64k: bool,
    repairs: bool,
}

fn setting(kinds: core::ops::Range<usize>) -> impl Strategy<Value = Setting> {
    let temper = prop_oneof![
        6 => any::<u64>().prop_map(Temper::Seeded),
        1 => Just(Temper::Late),
    ];
    (kinds, temper, any::<[bool; 2]>()).prop_map(|(kind, temper, [pages_64k, repairs])| Setting {
        kind,
        temper,
        pages_64k,
        repairs,
    })
}

fn run(setting: Setting, left: Left, ops: &[Op<Own>]) {
    let Setting { pages_64k, .. } = setting;
    let (features, options) = kinds()[setting.kind];
    let features = CpuFeatures {
        pages_64k,
        ..features
    };
    let options = LinkOptions {
        pages_64k,
        ..options
    };
    let rig = Rig::new(Parts {
        cpus: CPUS,
        ..Parts::new(features, setting.temper)
    });
    let devices = Accelerators::new(&rig, options);
    let kernel = Kernel::with_devices(rig, Box::new(devices), setting.repairs);
    kernel.leaving_out(left).run(ops);
}

#[test]
fn promise_03_nothing_stale_behind_a_link() {
    random_kernels(setting(0..5), ops(true), |setting, ops| {
        run(setting, Left::Nothing, ops);
    });
}

/// Whether random kernels on such a machine notice what is left out.
fn is_noticed(kind: usize, left: Left) -> bool {
    let inputs = (setting(kind..kind + 1), ops(true));
    noticing(200, inputs, |(setting, ops)| run(setting, left, &ops))
}

#[test]
fn random_kernels_notice_what_is_left_out() {
    for kind in 0..5 {
        for left in [Left::Flushes, Left::PendingFlushes, Left::FlushesBeforeIo] {
            assert!(is_noticed(kind, left), "{kind}: {left:?}");
        }
        let believes = kinds()[kind].1.believes_its_rights;
        assert_eq!(is_noticed(kind, Left::StepsOfUpgrades), believes, "{kind}");
    }
}
