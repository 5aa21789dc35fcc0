//! Which CPU a thread belongs to, and which level of the ISA it implements.

/// The versions of Power ISA that have radix translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Isa {
    /// 3.0: POWER9.
    V3_0,
    /// 3.1: POWER10, POWER11.
    V3_1,
    /// 3.2, without COPY and PASTE.
    V3_2,
}
