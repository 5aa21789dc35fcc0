//! What an IOMMU says of an access that it refused.

use tlb_shootdown_scenarios::Refusal;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose access.
    pub requester: u32,
    /// To which address, exact or down to the page; `None` where that was not recorded.
    pub address: Option<u64>,
    /// Why.
    pub refusal: Refusal,
}
