//! `trytlsd approve`: an operator overrules what holds a relay or a client back. What would be refused for a reason that is
//! known here already is refused at once.

use config::Config;
use jiff::Timestamp;
use policy::{clients, requests};

use crate::cli;
use crate::clock;
use crate::desk::{Answered, REFUSED, ask};
use crate::glimpse::Glimpse;
use crate::request::Wish;
use crate::subject::Subject;

/// Runs the command.
pub(crate) fn run(args: &cli::Approve, config: &Config) -> anyhow::Result<u8> {
    let now = clock::now();
    let glimpse = Glimpse::take(config)?;
    let subject = match Subject::of(&args.about, &glimpse.state) {
        Ok(subject) => subject,
        Err(status) => return Ok(status),
    };
    let refusal = match &subject {
        Subject::Relay(relay) => requests::refusal(&glimpse.state, relay, now),
        Subject::Client(address) => clients::refusal(&glimpse.state, *address, now),
    };
    if let Some((hold, advice)) = refusal {
        let says = format!("{hold}; {advice}");
        return Answered { subject, outcome: REFUSED, says, request: None }
            .tell(args.about.common.json);
    }
    let until = now.saturating_add(args.r#for.0).unwrap_or(Timestamp::MAX).as_second();
    let reason = args.reason.clone();
    let wish = match &subject {
        Subject::Relay(relay) => Wish::Approve { relay: relay.as_str().to_owned(), until, reason },
        Subject::Client(client) => Wish::ApproveClient { client: *client, until, reason },
    };
    ask(config, &glimpse, &subject, &wish, "approved")?.tell(args.about.common.json)
}
