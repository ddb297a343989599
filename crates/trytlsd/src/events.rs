//! `trytlsd events`: what happened, as the ledger keeps it, and on wish what happens from now on.

use std::thread;
use std::time::Duration;

use config::Config;
use jiff::Timestamp;
use ledger::{Error, Happening, View, Wanted};

use crate::cli;
use crate::clock;
use crate::control::client::{Reached, get_json};
use crate::control::wire::{Event, Events, LONGEST_WAIT, MOST_EVENTS};
use crate::output::{Safe, Style, complain, print};

/// How often the ledger is looked at where no daemon answers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// Only those of this relay.
    relay: Option<String>,
    /// Those after this number; else the latest.
    after: Option<i64>,
    /// Of the latest: those since then, in seconds since 1970.
    since: i64,
    /// At most so many.
    limit: u32,
    /// How long they are awaited if there are none, in seconds.
    pub(crate) wait: u64,
}

impl Search {
    /// From the query of a question.
    ///
    /// # Errors
    /// The key that is unknown, or whose value is.
    pub(crate) fn of_query(query: &str) -> Result<Self, String> {
        let mut search = Self { limit: MOST_EVENTS, ..Self::default() };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let bad = || key.to_string();
            match &*key {
                "relay" => search.relay = Some(value.into_owned()),
                "after" => search.after = Some(value.parse().map_err(|_| bad())?),
                "since" => search.since = value.parse().map_err(|_| bad())?,
                "limit" => {
                    let limit: u32 = value.parse().map_err(|_| bad())?;
                    search.limit = limit.min(MOST_EVENTS);
                }
                "wait" => search.wait = value.parse().map_err(|_| bad())?,
                _ => return Err(bad()),
            }
        }
        Ok(search)
    }

    /// As a question.
    fn to_question(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(relay) = &self.relay {
            query.append_pair("relay", relay);
        }
        match self.after {
            Some(after) => query.append_pair("after", &after.to_string()),
            None => query.append_pair("since", &self.since.to_string()),
        };
        query.append_pair("limit", &self.limit.to_string());
        query.append_pair("wait", &self.wait.to_string());
        format!("/v1/events?{}", query.finish())
    }
}

/// Reads them from the ledger. None yet is no error.
///
/// # Errors
/// If there is a ledger and it cannot be read.
pub(crate) fn look(config: &Config, search: &Search) -> anyhow::Result<Events> {
    let view = match View::open(&config.ledger.path.0.0) {
        Ok(view) => view,
        Err(Error::Missing { .. }) => return Ok(Events::default()),
        Err(error) => return Err(error.into()),
    };
    let since = match search.after {
        Some(_) => Timestamp::MIN,
        None => Timestamp::from_second(search.since).unwrap_or(Timestamp::MIN),
    };
    let of = search.relay.as_deref();
    let wanted = Wanted { of, after: search.after, since, limit: search.limit };
    let (found, last) = view.happenings(&wanted)?;
    let event = |(id, happening): (i64, Happening)| {
        let Happening { at, relay, what, detail } = happening;
        Event { id, at, relay, what, detail }
    };
    Ok(Events { events: found.into_iter().map(event).collect(), last })
}

/// Runs the command.
pub(crate) fn run(args: &cli::Events, config: &Config) -> anyhow::Result<u8> {
    let since = clock::now().saturating_sub(args.since.0).unwrap_or(Timestamp::MIN).as_second();
    let relay = args.relay.clone();
    let mut search = Search { relay, after: None, since, limit: MOST_EVENTS, wait: 0 };
    let mut source = Source::Daemon;
    let style = Style::of_stdout();
    let mut found = match source.ask(config, &search)? {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    if found.events.len() >= MOST_EVENTS as usize {
        complain(format!("the latest {MOST_EVENTS} are shown; there are more (see --since)"));
    }
    loop {
        search.after = Some(found.last);
        let lines = found.events.iter().map(|event| line(event, args.json, style));
        print(lines.collect::<Result<String, _>>()?)?;
        if !args.follow {
            return Ok(0);
        }
        search.wait = LONGEST_WAIT;
        found = match source.ask(config, &search)? {
            Ok(found) => found,
            Err(status) => return Ok(status),
        };
    }
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Daemon,
    /// No daemon answered; it is asked again each time.
    Ledger,
}

impl Source {
    /// Asks; the exit status if the answer is no.
    fn ask(&mut self, config: &Config, search: &Search) -> anyhow::Result<Result<Events, u8>> {
        match get_json(config, &search.to_question())? {
            Ok(found) => {
                *self = Self::Daemon;
                Ok(Ok(found))
            }
            Err(Reached::Refused(refused)) => Ok(Err(refused.tell()?)),
            Err(Reached::Nobody(why)) => {
                if *self == Self::Daemon {
                    complain(format!("{why}; this is what the ledger says"));
                    *self = Self::Ledger;
                }
                if search.wait > 0 {
                    thread::sleep(LOOK_EVERY);
                }
                Ok(Ok(look(config, search)?))
            }
            Err(Reached::Answer(_)) => Ok(Ok(Events::default())),
        }
    }
}

/// One event in one line. Plain text keeps to one word each for time, what and whom, so that it can be cut into columns.
fn line(event: &Event, json: bool, style: Style) -> serde_json::Result<String> {
    if json {
        return Ok(serde_json::to_string(event)? + "\n");
    }
    let Event { at, relay, what, detail, .. } = event;
    let at = style.faint(format!("{at:.0}"));
    let word = format!("{:<11}", Safe(what).to_string());
    let word = match what.as_str() {
        "active" | "put-back" | "renewed" => style.green(word),
        "held" | "alarm" | "withdrawn" | "refused" | "disarmed" | "paused" => style.yellow(word),
        _ => word,
    };
    let relay = relay.as_deref().unwrap_or("-");
    Ok(format!("{at} {word} {} {}\n", style.bold(Safe(relay)), Safe(detail)))
}
