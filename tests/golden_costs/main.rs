//! What each operation costs, in barriers, instructions, commands and doorbells. These tables are the reference: a change of a
//! figure is a change of the design.

mod amd;
#[path = "../support/atsd.rs"]
mod atsd;
mod cpus;
mod devices;
mod ocxl;
mod powerpc;
#[path = "../support/regions.rs"]
mod regions;
#[path = "../support/ring_lock.rs"]
mod ring_lock;
#[path = "../support/translation.rs"]
mod translation;
mod vtd;
mod x86_64;

use amd::AmdRow;
use cpus::{
    Row, block, everything, kernel_pages, kernel_tables, page, pages, reclaim, space,
    spurious_fault, upgrade,
};
use devices::DeviceRow;
use ocxl::{OcxlRow, gib1_leaves, kib4_leaves, kib64_leaves, mib2_leaves, table};
use tlb_shootdown::arch::aarch64::Config;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::range::RangePolicy;
use tlb_shootdown_model::recorder::aarch64::Identification;

const BASIC: Config = Config::new(Granule::Kib4);
const KPTI: Config = BASIC.kpti();
const BOUNDED: Config = BASIC.range_policy(RangePolicy::Bounded);

/// Cortex-A57 with every optional feature, as it comes, and a Cortex-A55 r2p0, whose broadcasts are completed twice.
const FULL: Identification = Identification::FULL;
const PLAIN: Identification = Identification::PLAIN;
const REPEATS: Identification = Identification {
    midr: 0x412f_d050,
    ..Identification::FULL
};

/// On a space that two CPUs have run. The columns are store barriers, invalidations, completion barriers, escalations.
#[rustfmt::skip]
const BROADCAST: &[Row] = &[
    ("one page",                        BASIC,   FULL,    page,                [1, 1, 1, 0]),
    ("one page, KPTI",                  KPTI,    FULL,    page,                [1, 2, 1, 0]),
    ("one page, repeat erratum",        BASIC,   REPEATS, page,                [1, 2, 2, 0]),
    ("one page, both",                  KPTI,    REPEATS, page,                [1, 3, 2, 0]),
    ("one 2 MiB block",                 BASIC,   FULL,    block,               [1, 1, 1, 0]),
    ("the whole space",                 BASIC,   FULL,    space,               [1, 1, 1, 0]),
    ("the whole space, KPTI",           KPTI,    FULL,    space,               [1, 2, 1, 0]),
    ("upgrade of one page",             BASIC,   FULL,    upgrade,             [1, 1, 1, 0]),
    ("spurious fault",                  BASIC,   REPEATS, spurious_fault,      [1, 1, 1, 0]),
    ("one kernel page",                 BASIC,   FULL,    kernel_pages::<1>,   [1, 1, 1, 0]),
    ("one kernel page, KPTI",           KPTI,    FULL,    kernel_pages::<1>,   [1, 1, 1, 0]),
    ("33 kernel pages",                 BASIC,   FULL,    kernel_pages::<33>,  [1, 2, 1, 0]),
    ("512 kernel pages, no range ops",  BASIC,   PLAIN,   kernel_pages::<512>, [1, 1, 1, 1]),
    ("kernel tables",                   BASIC,   FULL,    kernel_tables,       [1, 1, 1, 0]),
    ("everything",                      BASIC,   FULL,    everything,          [1, 1, 1, 0]),
    ("everything, repeat erratum",      BASIC,   REPEATS, everything,          [1, 2, 2, 0]),

    ("8 pages, no range ops",           BASIC,   PLAIN,   pages::<8>,          [1, 8, 1, 0]),
    ("33 pages, no range ops",          BASIC,   PLAIN,   pages::<33>,         [1, 33, 1, 0]),
    ("511 pages, no range ops",         BASIC,   PLAIN,   pages::<511>,        [1, 511, 1, 0]),
    ("512 pages, no range ops",         BASIC,   PLAIN,   pages::<512>,        [1, 1, 1, 1]),

    ("8 pages",                         BASIC,   FULL,    pages::<8>,          [1, 1, 1, 0]),
    ("33 pages",                        BASIC,   FULL,    pages::<33>,         [1, 2, 1, 0]),
    ("63 pages",                        BASIC,   FULL,    pages::<63>,         [1, 2, 1, 0]),
    ("65 pages",                        BASIC,   FULL,    pages::<65>,         [1, 2, 1, 0]),
    ("512 pages",                       BASIC,   FULL,    pages::<512>,        [1, 1, 1, 0]),
    ("512 pages, KPTI",                 KPTI,    FULL,    pages::<512>,        [1, 2, 1, 0]),
    ("2115 pages",                      BASIC,   FULL,    pages::<2115>,       [1, 4, 1, 0]),
    ("4096 pages",                      BASIC,   FULL,    pages::<4096>,       [1, 1, 1, 0]),
    ("2^21 pages",                      BASIC,   FULL,    pages::<0x20_0000>,  [1, 1, 1, 0]),
    ("2^21 + 1 pages",                  BASIC,   FULL,    pages::<0x20_0001>,  [1, 1, 1, 1]),

    ("32 pages in a batch",             BASIC,   FULL,    reclaim::<32>,       [1, 1, 1, 0]),
    ("32 in a batch, no range ops",     BASIC,   PLAIN,   reclaim::<32>,       [1, 32, 1, 0]),

    ("33 pages, bounded",               BOUNDED, FULL,    pages::<33>,         [1, 2, 1, 0]),
    ("63 pages, bounded",               BOUNDED, FULL,    pages::<63>,         [1, 1, 1, 0]),
    ("2115 pages, bounded",             BOUNDED, FULL,    pages::<2115>,       [1, 2, 1, 0]),
    ("2047 pages, bounded",             BOUNDED, FULL,    pages::<2047>,       [1, 1, 1, 0]),
];

/// On a space that this CPU alone has run: the same counts, of the cheaper local forms, and nothing to repeat.
#[rustfmt::skip]
const LOCAL: &[Row] = &[
    ("one page",                        BASIC,   REPEATS, page,                [1, 1, 1, 0]),
    ("the whole space",                 BASIC,   REPEATS, space,               [1, 1, 1, 0]),
    ("512 pages",                       BASIC,   REPEATS, pages::<512>,        [1, 1, 1, 0]),
];

/// On a space that devices share. The columns are the number of SMMUs and of devices with a TLB of their own behind each, then
/// commands, CMD_SYNCs, doorbells, the rings' own barriers, and escalations, of all SMMUs together.
///
/// Commands behind a CMD_SYNC do not start before it completes, so the two stages of a device TLB share one doorbell.
#[rustfmt::skip]
const DEVICES: &[DeviceRow] = &[
    ("one page",                        1, 0,  page,         [1, 1, 1, 1, 0]),
    ("upgrade of one page",             1, 0,  upgrade,      [1, 1, 1, 1, 0]),
    ("8 pages",                         1, 0,  pages::<8>,   [1, 1, 1, 1, 0]),
    ("1000 pages",                      1, 0,  pages::<1000>, [2, 1, 1, 1, 0]),
    ("the whole space",                 1, 0,  space,        [1, 1, 1, 1, 0]),
    ("one page, two SMMUs",             2, 0,  page,         [2, 2, 2, 2, 0]),
    ("one page, one device TLB",        1, 1,  page,         [2, 2, 1, 1, 0]),
    ("8 pages, eight device TLBs",      1, 8,  pages::<8>,   [9, 2, 1, 1, 0]),
    ("8 pages, 4 SMMUs of 8 TLBs",      4, 8,  pages::<8>,   [36, 8, 4, 4, 0]),
    // Linux 7.1: 64 CMD_SYNCs and 64 doorbells, of which each page costs two.
    ("32 pages in a batch, 8 TLBs",     1, 8,  reclaim::<32>, [9, 2, 1, 1, 0]),
    ("one kernel page",                 1, 1,  kernel_pages::<1>, [0, 0, 0, 0, 0]),
    ("spurious fault",                  1, 1,  spurious_fault, [0, 0, 0, 0, 0]),
];

/// Behind VT-d: one wait and one doorbell for each unit, whatever the number of devices (Linux 7.1: one of each for 16 descriptors).
#[rustfmt::skip]
const VTD_DEVICES: &[DeviceRow] = &[
    ("one page",                        1, 0,  page,         [1, 1, 1, 1, 0]),
    ("upgrade of one page",             1, 0,  upgrade,      [1, 1, 1, 1, 0]),
    ("the whole space",                 1, 0,  space,        [1, 1, 1, 1, 0]),
    ("one page, one device TLB",        1, 1,  page,         [2, 1, 1, 1, 0]),
    ("8 pages, 8 device TLBs",          1, 8,  pages::<8>,   [9, 1, 1, 1, 0]),
    ("8 pages, 16 device TLBs",         1, 16, pages::<8>,   [17, 1, 1, 1, 0]),
    ("8 pages, 32 device TLBs",         1, 32, pages::<8>,   [33, 1, 1, 1, 0]),
    ("8 pages, 4 units of 8 TLBs",      4, 8,  pages::<8>,   [36, 4, 4, 4, 0]),
    // Linux 7.1: 32 waits, each of the whole PASID.
    ("32 pages in a batch, 8 TLBs",     1, 8,  reclaim::<32>, [9, 1, 1, 1, 0]),
];

/// On a space that devices share by PASID. The columns are the number of AMD IOMMUs, of devices behind each, and whether those have TLBs of
/// their own; then commands, COMPLETION_WAITs, doorbells, barriers and escalations, of all IOMMUs together.
///
/// A COMPLETION_WAIT holds back nothing that follows it, so a second stage has a doorbell of its own: two, where Linux 6.6 rings for every
/// command (4 to 128 times) and waits for every device in each of two rounds, and 7.1 rings for every command (3 to 96 times), waits for
/// every device, and relies on the order of the commands. The commands are as many as theirs: each device has a tag of its own.
#[rustfmt::skip]
const AMD: &[AmdRow] = &[
    ("one page",                        1, 1,  false, page,         [1, 1, 1, 1, 0]),
    ("one page, 8 devices",             1, 8,  false, page,         [8, 1, 1, 1, 0]),
    ("upgrade of one page",             1, 1,  false, upgrade,      [1, 1, 1, 1, 0]),
    ("8 pages",                         1, 1,  false, pages::<8>,   [1, 1, 1, 1, 0]),
    ("the whole space",                 1, 1,  false, space,        [1, 1, 1, 1, 0]),
    ("8 pages, one device TLB",         1, 1,  true,  pages::<8>,   [2, 2, 2, 2, 0]),
    ("8 pages, 8 device TLBs",          1, 8,  true,  pages::<8>,   [16, 2, 2, 2, 0]),
    ("8 pages, 32 device TLBs",         1, 32, true,  pages::<8>,   [64, 2, 2, 2, 0]),
    ("8 pages, 4 IOMMUs of 8 TLBs",     4, 8,  true,  pages::<8>,   [64, 8, 8, 8, 0]),
    // Linux 7.1: 256 waits.
    ("32 pages in a batch, 8 TLBs",     1, 8,  true,  reclaim::<32>, [16, 2, 2, 2, 0]),
    ("spurious fault",                  1, 1,  true,  spurious_fault, [0, 0, 0, 0, 0]),
];

/// On a space that devices share through OpenCAPI links. The columns are the number of links, of contexts on each, and whether the links
/// snoop; then launches, waits (there are none), LNCH writes, barriers and escalations, of all links together.
///
/// A page of any size is one launch, and so is everything, and whatever is more than 8 pages or of pages whose size nobody promises. Linux
/// launches once for each 64 KiB or 4 KiB, whatever the size of the leaf, with a barrier before each of two writes; for a whole space it never ends.
#[rustfmt::skip]
const OCXL: &[OcxlRow] = &[
    ("one page",                        1, 1,  false, page,                 [1, 0, 1, 1, 0]),
    ("upgrade of one page",             1, 1,  false, upgrade,              [1, 0, 1, 1, 0]),
    ("one 2 MiB leaf",                  1, 1,  false, block,                [1, 0, 1, 1, 0]),
    ("the whole space",                 1, 1,  false, space,                [1, 0, 1, 1, 0]),
    ("one 64 KiB leaf",                 1, 1,  false, kib64_leaves::<1>,    [1, 0, 1, 1, 0]),
    ("one 1 GiB leaf",                  1, 1,  false, gib1_leaves::<1>,     [1, 0, 1, 1, 0]),
    ("4 leaves of 4 KiB",               1, 1,  false, kib4_leaves::<4>,     [4, 0, 4, 4, 0]),
    ("8 leaves of 4 KiB",               1, 1,  false, kib4_leaves::<8>,     [8, 0, 8, 8, 0]),
    ("9 leaves of 4 KiB",               1, 1,  false, kib4_leaves::<9>,     [1, 0, 1, 1, 1]),
    ("512 leaves of 4 KiB",             1, 1,  false, kib4_leaves::<512>,   [1, 0, 1, 1, 1]),
    ("8 leaves of 64 KiB",              1, 1,  false, kib64_leaves::<8>,    [8, 0, 8, 8, 0]),
    ("9 leaves of 64 KiB",              1, 1,  false, kib64_leaves::<9>,    [1, 0, 1, 1, 1]),
    ("8 leaves of 2 MiB",               1, 1,  false, mib2_leaves::<8>,     [8, 0, 8, 8, 0]),
    ("9 leaves of 2 MiB",               1, 1,  false, mib2_leaves::<9>,     [1, 0, 1, 1, 1]),
    ("8 leaves of 1 GiB",               1, 1,  false, gib1_leaves::<8>,     [8, 0, 8, 8, 0]),
    // One of the two escalations is the CPUs'.
    ("9 leaves of 1 GiB",               1, 1,  false, gib1_leaves::<9>,     [1, 0, 1, 1, 2]),
    ("one page and its table",          1, 1,  false, table,                [1, 0, 1, 1, 1]),
    ("8 pages of unknown size",         1, 1,  false, pages::<8>,           [1, 0, 1, 1, 1]),
    ("one page, 16 contexts",           1, 16, false, page,                 [1, 0, 1, 1, 0]),
    ("one page, 4 links",               4, 1,  false, page,                 [4, 0, 4, 4, 0]),
    ("the whole space, 4 links",        4, 8,  false, space,                [4, 0, 4, 4, 0]),
    ("one page, 4 links that snoop",    4, 8,  true,  page,                 [0, 0, 0, 0, 0]),
    ("the whole space, snooping",       1, 1,  true,  space,                [0, 0, 0, 0, 0]),
    ("one kernel page",                 1, 1,  false, kernel_pages::<1>,    [0, 0, 0, 0, 0]),
    ("spurious fault",                  1, 1,  false, spurious_fault,       [0, 0, 0, 0, 0]),
];
