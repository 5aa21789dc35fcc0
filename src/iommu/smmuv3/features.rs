//! What an implementation offers, from its identification registers, less what its errata take away.

use super::registers;
use super::span::RangeFields;
use crate::dma::Mmio;

/// What the driver uses of an implementation (IHI 0070 6.3, IDR0 to IDR5 and IIDR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Features {
    /// Stage 1 translation (IDR0.S1P).
    pub stage_1: bool,
    /// AArch64 tables (IDR0.TTF bit 1).
    pub aarch64_tables: bool,
    /// Table walks and queues are coherent with the CPUs' caches (IDR0.COHACC).
    pub coherent: bool,
    /// It takes part in the CPUs' broadcast invalidations (IDR0.BTM), and no erratum forbids using that.
    pub broadcast: bool,
    /// It updates the access flag (IDR0.HTTU).
    pub access_flag: bool,
    /// It updates the dirty state as well.
    pub dirty_state: bool,
    /// EL2 translations (IDR0.Hyp).
    pub el2: bool,
    /// Address translation services (IDR0.ATS).
    pub ats: bool,
    /// 16-bit ASIDs (IDR0.ASID16).
    pub asid16: bool,
    /// CMD_SYNC can write a message (IDR0.MSI).
    pub msi: bool,
    /// CMD_SYNC can send events to CPUs (IDR0.SEV), and no erratum forbids using that.
    pub sev: bool,
    /// Stalling is optional, and has to be switched off for each stream that must not stall (IDR0.STALL_MODEL = 0).
    pub optional_stalls: bool,
    /// Incoming attributes can be overridden (IDR1.ATTR_TYPES_OVR).
    pub attribute_override: bool,
    /// log2 of the number of streams (IDR1.SIDSIZE).
    pub stream_bits: u8,
    /// log2 of the number of substreams (IDR1.SSIDSIZE).
    pub substream_bits: u8,
    /// log2 of the largest command queue (IDR1.CMDQS).
    pub command_queue_bits: u8,
    /// log2 of the largest event queue (IDR1.EVENTQS).
    pub event_queue_bits: u8,
    /// Range invalidation (IDR3.RIL).
    pub ranges: Option<RangeFields>,
    /// Bits of a physical address (IDR5.OAS).
    pub output_bits: u8,
    /// Granules: bit 0 for 4 KiB, bit 1 for 16 KiB, bit 2 for 64 KiB (IDR5).
    pub granules: u8,
    /// A CMD_SYNC must follow after 63 commands at most (MMU-700 2812531).
    pub sync_often: bool,
}

/// Part numbers of Arm's implementations (IIDR.ProductID), and the errata that are keyed by them. Sources: the parts' errata
/// notices, as listed in Linux `Documentation/arch/arm64/silicon-errata.rst` and applied in `arm-smmu-v3.c`.
mod part {
    pub(super) const ARM: u32 = 0x43b;
    pub(super) const MMU_600: u32 = 0x483;
    pub(super) const MMU_700: u32 = 0x487;
    pub(super) const MMU_L1: u32 = 0x48a;
    pub(super) const MMU_S3: u32 = 0x498;
}

impl Features {
    /// Reads the identification registers.
    pub fn discover(registers: &impl Mmio) -> Self {
        Self::from_registers(
            registers.read32(registers::IDR0),
            registers.read32(registers::IDR1),
            registers.read32(registers::IDR3),
            registers.read32(registers::IDR5),
            registers.read32(registers::IIDR),
        )
    }

    /// The features that these values of IDR0, IDR1, IDR3, IDR5 and IIDR stand for.
    pub fn from_registers(idr0: u32, idr1: u32, idr3: u32, idr5: u32, iidr: u32) -> Self {
        let bit = |register: u32, n: u32| register >> n & 1 != 0;
        let field =
            |register: u32, low: u32, width: u32| (register >> low & ((1 << width) - 1)) as u8;
        let httu = field(idr0, 6, 2);
        let wide = bit(idr5, 7);
        let features = Self {
            stage_1: bit(idr0, 1),
            aarch64_tables: bit(idr0, 3),
            coherent: bit(idr0, 4),
            broadcast: bit(idr0, 5),
            access_flag: httu == 1 || httu == 2,
            dirty_state: httu == 2,
            el2: bit(idr0, 9),
            ats: bit(idr0, 10),
            asid16: bit(idr0, 12),
            msi: bit(idr0, 13),
            sev: bit(idr0, 14),
            optional_stalls: field(idr0, 24, 2) == 0,
            attribute_override: bit(idr1, 27),
            stream_bits: field(idr1, 0, 6).min(32),
            substream_bits: field(idr1, 6, 5).min(20),
            command_queue_bits: field(idr1, 21, 5).min(19),
            event_queue_bits: field(idr1, 16, 5).min(19),
            ranges: bit(idr3, 10).then_some(if wide {
                RangeFields::Wide
            } else {
                RangeFields::Narrow
            }),
            output_bits: output_bits(field(idr5, 0, 3)),
            granules: field(idr5, 4, 3),
            sync_often: false,
        };
        features.without_what_errata_break(iidr)
    }

    fn without_what_errata_break(mut self, iidr: u32) -> Self {
        if iidr & 0xfff != part::ARM {
            return self;
        }
        let (variant, revision) = (iidr >> 16 & 0xf, iidr >> 12 & 0xf);
        match iidr >> 20 {
            // 1076982, up to r0p2: the event is not reliably sent.
            part::MMU_600 if variant == 0 && revision <= 2 => self.sev = false,
            part::MMU_700 => {
                self.broadcast = false;
                // 2812531, r0pX and r1p0.
                self.sync_often = variant == 0 || (variant == 1 && revision == 0);
            }
            // 3878312 and 3995052.
            part::MMU_L1 | part::MMU_S3 => self.broadcast = false,
            _ => {}
        }
        self
    }
}

/// IDR5.OAS and CD.IPS.
const fn output_bits(oas: u8) -> u8 {
    match oas {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        5 => 48,
        6 => 52,
        _ => 56,
    }
}
