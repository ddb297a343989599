//! `trytlsd lift` and `trytlsd hold`: the relay's entries go, if it has any, and there are to be none for a time: that of
//! the config's `hold_off`, or as long as the operator says.

use config::{Config, Span};
use jiff::Timestamp;

use crate::MISUSED;
use crate::cli;
use crate::clock;
use crate::desk::ask;
use crate::glimpse::Glimpse;
use crate::request::Wish;

/// Runs `lift`.
pub(crate) fn lift(args: &cli::Lift, config: &Config) -> anyhow::Result<u8> {
    run(&args.about, None, config)
}

/// Runs `hold`.
pub(crate) fn hold(args: &cli::Hold, config: &Config) -> anyhow::Result<u8> {
    run(&args.about, Some(args.r#for), config)
}

fn run(about: &cli::About, span: Option<Span>, config: &Config) -> anyhow::Result<u8> {
    let glimpse = Glimpse::of_ledger(config)?;
    let Some(relay) = glimpse.relay(&about.relay) else { return Ok(MISUSED) };
    let until =
        |span: Span| clock::now().saturating_add(span.0).unwrap_or(Timestamp::MAX).as_second();
    let wish = Wish::Lift { relay: relay.as_str().to_owned(), until: span.map(until) };
    let done = if span.is_some() { "held" } else { "lifted" };
    ask(config, &glimpse, &relay, &wish, done)?.tell(about.json)
}
