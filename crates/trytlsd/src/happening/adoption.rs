//! The same for lines of the admin's that are adopted.

use maillog::relay::Relay;
use policy::adoption::{AdoptionChange, AdoptionEnding};
use tracing::{info, warn};

use crate::output::Safe;

/// Logs a change. Foreign text is escaped.
pub(super) fn log(relay: &Relay<'_>, change: &AdoptionChange) {
    let (what, detail) = words(change);
    let detail = Safe(&detail);
    match change {
        AdoptionChange::Mended(_) => {
            warn!(%relay, "{what}: {detail}; it is taken out with: trytlsd lift {relay}");
        }
        AdoptionChange::Refused(_)
        | AdoptionChange::Stays(_)
        | AdoptionChange::Ended(AdoptionEnding::Gone(_) | AdoptionEnding::Changed(_)) => {
            warn!(%relay, "{what}: {detail}");
        }
        AdoptionChange::Adopted(..)
        | AdoptionChange::TakingOut(..)
        | AdoptionChange::Withheld(_)
        | AdoptionChange::Ended(AdoptionEnding::Lifted(_) | AdoptionEnding::OnWord(_)) => {
            info!(%relay, "{what}: {detail}");
        }
    }
}

/// The change as a row of the history.
pub(super) fn words(change: &AdoptionChange) -> (&'static str, String) {
    match change {
        AdoptionChange::Adopted(line, word) if word.reason.is_empty() => {
            ("adopted", format!("{line}; by {}", word.who))
        }
        AdoptionChange::Adopted(line, word) => {
            ("adopted", format!("{line}; by {}: {}", word.who, word.reason))
        }
        AdoptionChange::Refused(refusal) => ("refused", refusal.to_string()),
        AdoptionChange::Mended(line) => ("mended", line.to_string()),
        AdoptionChange::TakingOut(line, _) => ("taking out on a word", line.to_string()),
        AdoptionChange::Withheld(line) => ("withheld in dry run", line.to_string()),
        AdoptionChange::Stays(why) => ("the adopted line stays", why.to_string()),
        AdoptionChange::Ended(AdoptionEnding::Lifted(line)) => {
            ("lifted", format!("the adopted line {line:?} is taken out"))
        }
        AdoptionChange::Ended(AdoptionEnding::Gone(line)) => {
            ("adoption ended", format!("somebody took out the line {line:?}"))
        }
        AdoptionChange::Ended(AdoptionEnding::Changed(line)) => {
            ("adoption ended", format!("it is another line now: {line}"))
        }
        AdoptionChange::Ended(AdoptionEnding::OnWord(line)) => {
            ("adoption ended", format!("on a word; {line}"))
        }
    }
}
