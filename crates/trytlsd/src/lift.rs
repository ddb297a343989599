//! `trytlsd lift` and `trytlsd hold`: the entries of a relay or a client go, if it has any, and there are to be none for a time: that of
//! the config's `hold_off`, or as long as the operator says.

use config::{Config, Span};
use jiff::Timestamp;
use policy::adoption::lift_refusal;

use crate::cli;
use crate::clock;
use crate::desk::{Answered, REFUSED, ask};
use crate::glimpse::Glimpse;
use crate::request::Wish;
use crate::subject::Subject;

/// Runs `lift`.
pub(crate) fn lift(args: &cli::Lift, config: &Config) -> anyhow::Result<u8> {
    run(&args.about, None, config)
}

/// Runs `hold`.
pub(crate) fn hold(args: &cli::Hold, config: &Config) -> anyhow::Result<u8> {
    run(&args.about, Some(args.r#for), config)
}

fn run(about: &cli::About, span: Option<Span>, config: &Config) -> anyhow::Result<u8> {
    let glimpse = Glimpse::of_ledger_and_access(config)?;
    let subject = match Subject::of(about, &glimpse.state) {
        Ok(subject) => subject,
        Err(status) => return Ok(status),
    };
    if let (Subject::Relay(relay), None, false) = (&subject, span, glimpse.waits)
        && let Some(refusal) = lift_refusal(&glimpse.state, relay)
    {
        let says = refusal.to_string();
        return Answered { subject, outcome: REFUSED, says, request: None }.tell(about.common.json);
    }
    let until =
        |span: Span| clock::now().saturating_add(span.0).unwrap_or(Timestamp::MAX).as_second();
    let until = span.map(until);
    let wish = match &subject {
        Subject::Relay(relay) => Wish::Lift { relay: relay.as_str().to_owned(), until },
        Subject::Client(client) => Wish::LiftClient { client: *client, until },
    };
    let done = if span.is_some() { "held" } else { "lifted" };
    ask(config, &glimpse, &subject, &wish, done)?.tell(about.common.json)
}
