//! `trytlsd adopt`: a line that the admin wrote by hand is looked after like an entry of ours, or no more. What would be
//! refused for a reason that is known here already is refused at once.

use config::Config;
use policy::adoption::refusal;

use crate::cli;
use crate::desk::{Answered, REFUSED, ask};
use crate::glimpse::Glimpse;
use crate::request::Wish;
use crate::subject::{self, Subject};

/// Runs the command.
pub(crate) fn run(args: &cli::Adopt, config: &Config) -> anyhow::Result<u8> {
    let glimpse = Glimpse::of_ledger_and_access(config)?;
    let relay = match subject::relay(&glimpse.state, &args.relay) {
        Ok(relay) => relay,
        Err(status) => return Ok(status),
    };
    let name = relay.as_str().to_owned();
    let refused = if args.end || glimpse.waits { None } else { refusal(&glimpse.state, &relay) };
    let subject = Subject::Relay(relay);
    if let Some(refusal) = refused {
        let says = refusal.to_string();
        return Answered { subject, outcome: REFUSED, says, request: None }.tell(args.common.json);
    }
    let (wish, done) = match args.end {
        true => (Wish::EndAdoption { relay: name }, "ended"),
        false => (Wish::Adopt { relay: name, reason: args.reason.clone() }, "adopted"),
    };
    ask(config, &glimpse, &subject, &wish, done)?.tell(args.common.json)
}
