//! `trytlsd approve`: an operator overrules what holds a relay back. What would be refused for a reason that is known here
//! already is refused at once.

use config::Config;
use jiff::Timestamp;
use policy::requests::refusal;

use crate::MISUSED;
use crate::cli;
use crate::clock;
use crate::desk::{Answered, REFUSED, ask};
use crate::glimpse::Glimpse;
use crate::request::Wish;

/// Runs the command.
pub(crate) fn run(args: &cli::Approve, config: &Config) -> anyhow::Result<u8> {
    let now = clock::now();
    let glimpse = Glimpse::take(config)?;
    let Some(relay) = glimpse.relay(&args.about.relay) else { return Ok(MISUSED) };
    if let Some((hold, advice)) = refusal(&glimpse.state, &relay, now) {
        let says = format!("{hold}; {advice}");
        let relay = relay.as_str().to_owned();
        return Answered { relay, outcome: REFUSED, says, request: None }.tell(args.about.json);
    }
    let until = now.saturating_add(args.r#for.0).unwrap_or(Timestamp::MAX).as_second();
    let reason = args.reason.clone();
    let wish = Wish::Approve { relay: relay.as_str().to_owned(), until, reason };
    ask(config, &glimpse, &relay, &wish, "approved")?.tell(args.about.json)
}
