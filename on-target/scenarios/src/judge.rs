//! What an access after a change says about the translation that it used.

use crate::script::Becomes;
use crate::{Access, Failure, Machine, Page, Refusal, Seen};

/// What the words in memory say about who wrote them: marker and page.
pub(crate) const ORIGINAL: u64 = 0x0a00;
pub(crate) const REPLACEMENT: u64 = 0x0b00;
pub(crate) const TOUCHED: u64 = 0x0c00;
pub(crate) const CHECKED: u64 = 0x0d00;

/// The word for `access` to a page that became what `becomes` says. `landed`: the frame that it led to before holds what was written.
///
/// # Errors
/// An access that neither table explains, or that was refused without a reason where the machine gives reasons.
pub(crate) fn judge<M: Machine>(
    machine: &M,
    becomes: Becomes,
    page: Page,
    access: Access,
    landed: bool,
) -> Result<(Seen, Option<Refusal>), Failure<M::Error>> {
    let unexplained = Failure::Check { page, access };
    if access == Access::Refused(Refusal::Unreported) && !machine.yardstick().silent {
        return Err(unexplained);
    }
    name(becomes, access, u64::from(page.0), landed).ok_or(unexplained)
}

/// `None` where neither table explains it.
fn name(
    becomes: Becomes,
    access: Access,
    number: u64,
    landed: bool,
) -> Option<(Seen, Option<Refusal>)> {
    use Refusal::{Permission, Translation, Unreported};
    let seen = match (becomes, access) {
        (Becomes::Unmapped, Access::Refused(Translation | Unreported)) => Seen::Fresh,
        (Becomes::Unmapped, Access::Done(word)) if word == ORIGINAL | number => Seen::Stale,
        (Becomes::ReadOnly, Access::Refused(Permission | Unreported)) if !landed => Seen::Fresh,
        (Becomes::ReadOnly, Access::Done(_)) if landed => Seen::Stale,
        (Becomes::Writable, Access::Done(_)) if landed => Seen::Fresh,
        (Becomes::Writable, Access::Refused(why)) if !landed => {
            return Some((Seen::Fault, Some(why)));
        }
        (Becomes::OtherFrame, Access::Done(word)) if word == REPLACEMENT | number => Seen::Fresh,
        (Becomes::OtherFrame, Access::Done(word)) if word == ORIGINAL | number => Seen::Stale,
        (Becomes::OtherFrame, Access::Refused(why)) => return Some((Seen::Fault, Some(why))),
        _ => return None,
    };
    Some((seen, None))
}
