//! INVLPG and INVLPGB, as the manuals read them (Intel SDM Vol 2A, AMD APM Vol 3).

use super::kernel::Kernel;
use crate::input::{Input, Space};
use crate::runs::{Run, assert_covered, pages, rounded};
use tlb_shootdown::address::FlushRange;
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::{Depth, Flush};
use tlb_shootdown_model::recorder::x86_64::{Executed, Identification, Recorder};

type Arch = X86_64<Recorder, 1>;

const STRIDES: [u8; 4] = [12, 21, 30, 16];
const KERNEL_ROOT: u64 = 0x10_0000;
/// The largest number of pages that are invalidated one by one: Linux' 33.
const CEILING: u64 = 33;

/// The machine and the request.
struct Case {
    flush: Flush,
    is_kernel: bool,
    /// The most addresses of one INVLPGB; `None` where there is no INVLPGB.
    most: Option<u64>,
}

/// Any request on any machine: covered, nothing else hit below the ceiling, no reserved operand.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let is_kernel = input.flag();
    let la57 = input.flag();
    let bits = if la57 { 56 } else { 47 };
    let base = if is_kernel { u64::MAX << bits } else { 0 };
    let flush = input.flush(Space { base, bits }, &STRIDES);
    let most = input.flag().then(|| input.pick(&[1, 2, 8, 33, 65536]));
    let case = Case {
        flush,
        is_kernel,
        most,
    };
    let config = if la57 {
        Config::new().la57()
    } else {
        Config::new()
    };
    let cpus = if most.is_some() { 4 } else { 1 };
    let identification = Identification {
        leaf_8000_0008_edx: most.map_or(0, |most| most as u32 - 1),
        cr4: Identification::FULL.cr4 | u64::from(la57) << 12,
        ..match most {
            Some(_) => Identification::BROADCASTS,
            None => Identification::FULL,
        }
    };
    let arch = Arch::new(Recorder::new(identification), config);
    let kernel = Kernel::new(arch, cpus, |arch, cpu| {
        Recorder::run_on(cpu as usize);
        arch.instructions().load_root(KERNEL_ROOT);
    });
    kernel.engine.arch().seal_features();
    let (executed, cost) = case.emit(&kernel, cpus);
    Recorder::run_on(0);
    case.check(&executed, &cost);
}

impl Case {
    fn emit(&self, kernel: &Kernel<Arch>, cpus: u32) -> (Vec<Executed>, Cost) {
        let (engine, recorder) = (&kernel.engine, kernel.engine.arch().instructions());
        if self.is_kernel {
            recorder.take();
            let ticket = engine.start_kernel(self.flush).expect("canonical");
            let executed = recorder.take();
            return (executed, kernel.finish(ticket));
        }
        let space = engine.new_space();
        for cpu in (0..cpus).rev() {
            kernel.on(cpu);
            Recorder::run_on(cpu as usize);
            let id = engine.switch_to(&space).expect("live");
            recorder.load_root(0x20_0000 | id.0);
            engine.root_loaded();
        }
        if self.most.is_some() {
            // The first flush gives it an identifier that broadcasts reach, the second finds everybody under it.
            for _ in 0..3 {
                kernel.finish(engine.start(&space, Flush::all()).expect("live"));
            }
        }
        recorder.take();
        let ticket = engine.start(&space, self.flush).expect("live");
        let executed = recorder.take();
        (executed, kernel.finish(ticket))
    }

    fn check(&self, executed: &[Executed], cost: &Cost) {
        let FlushRange::Pages(range) = self.flush.range() else {
            unreachable!("drawn as pages")
        };
        assert_eq!(executed.first().map(|op| op.0), Some("mfence"));
        if self.most.is_some() {
            assert_eq!(executed.last().map(|op| op.0), Some("tlbsync"));
            assert_eq!(cost.completion_barriers, 1);
        }
        let entry = self.entry();
        let asked = rounded((range.first().raw(), range.last_byte().raw()), entry);
        let entries = ((asked.1 - asked.0) >> entry) + 1;
        let runs: Option<Vec<_>> = executed
            .iter()
            .filter(|op| !matches!(op.0, "mfence" | "tlbsync"))
            .map(|op| self.decode(*op, entry))
            .collect();
        let Some(runs) = runs else {
            // INVLPG leaves the walk caches of identifiers that are not loaded.
            let frees_tables = self.flush.depth() == Depth::Tables;
            let is_local = self.is_kernel && self.most.is_none();
            assert!(
                entries > CEILING || is_local && frees_tables,
                "{executed:x?}"
            );
            return;
        };
        assert!(entries <= CEILING);
        assert_covered(&runs, asked);
        assert_eq!(pages(&runs), pages(&[asked]), "{executed:x?}");
    }

    /// log2 of the smallest entry that may have changed, and goes as a whole: the promised size, in the sizes that there are.
    fn entry(&self) -> u8 {
        match self.flush.known_leaf_size().map_or(12, |size| size.shift()) {
            30.. => 30,
            21.. => 21,
            _ => 12,
        }
    }

    /// The addresses; `None` for everything of a space, or of all.
    fn decode(&self, (name, operands): Executed, entry: u8) -> Option<Run> {
        match name {
            "invlpg" => {
                assert_eq!(self.most, None, "INVLPG reaches this CPU alone");
                Some(rounded((operands[0], operands[0]), entry))
            }
            "invlpgb" => self.broadcast(operands, entry),
            "mov cr3" | "mov cr4" | "invpcid" => {
                assert_eq!(self.most, None, "{name} reaches this CPU alone");
                None
            }
            _ => panic!("{name}"),
        }
    }

    /// RAX: VA\[63:12\], flags in 5:0; ECX: the count less one in 15:0, the stride in 31; EDX: ASID\[15:0\], PCID\[27:16\].
    fn broadcast(&self, [rax, ecx, edx]: [u64; 3], entry: u8) -> Option<Run> {
        assert_eq!(rax & 0xfe0, 0, "reserved bits of RAX: {rax:#x}");
        assert_eq!(
            ecx & 0xffff_ffff_7fff_0000,
            0,
            "reserved bits of ECX: {ecx:#x}"
        );
        assert_eq!(
            edx & 0xffff_ffff_f000_ffff,
            0,
            "the host's ASID is 0: {edx:#x}"
        );
        let [va, pcid, asid, global, leaf] = [0, 1, 2, 3, 4].map(|bit| rax >> bit & 1 == 1);
        assert!(asid, "entries of guests would match");
        assert_eq!((pcid, global), (!self.is_kernel, self.is_kernel));
        assert_eq!(pcid, edx != 0);
        if !va {
            return None;
        }
        assert!(
            !leaf || self.flush.depth() == Depth::Leaf,
            "walk caches stay"
        );
        let count = (ecx & 0xffff) + 1;
        assert!(self.most.is_some_and(|most| count <= most), "{count}");
        let stride = if ecx >> 31 == 1 { 21 } else { 12 };
        let first = rax & !0xfff;
        let last = first.wrapping_add((count - 1) << stride);
        assert!(first <= last, "{rax:#x} and {count} more wrap around");
        // One address drops the whole entry that holds it; of several, none may lie between two.
        assert!(count == 1 || stride >= entry);
        Some((
            rounded((first, first), entry).0,
            rounded((last, last), entry).1,
        ))
    }
}
