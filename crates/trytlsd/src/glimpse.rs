//! The heart as the ledger has it, for a command beside the daemon: read, shown, and never changed.
//!
//! It may be a second behind the daemon: what only counts is committed that late. Of the access file and of sendmail's
//! configuration it knows what they say now.

use std::fs;

use access::block;
use config::Config;
use jiff::{SignedDuration, Timestamp};
use ledger::{Error, Happening, Loaded, View};
use maillog::relay::Relay;
use policy::fact::{Answer, Sts};
use policy::state::State;

use crate::beside::Beside;
use crate::clock;
use crate::host::Host;
use crate::output::complain;
use crate::remembered::Remembered;

/// Happenings that are shown at most.
const MOST_HAPPENINGS: u32 = 20;

/// How far back they are shown.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What is known.
pub(crate) struct Glimpse {
    pub(crate) state: State,
    /// The MTA-STS policies that were fetched and hold, by domain.
    pub(crate) policies: Vec<(Box<str>, Sts)>,
    /// None if there is no ledger yet.
    view: Option<View>,
}

impl Glimpse {
    /// Looks at the ledger, the access file and sendmail's configuration, and has sendmail say its own names: all that
    /// the guards rest on.
    ///
    /// # Errors
    /// See [`Glimpse::of_ledger`].
    pub(crate) fn take(config: &Config) -> anyhow::Result<Self> {
        let mut glimpse = Self::of_ledger(config)?;
        let state = &mut glimpse.state;
        let host = Host::look(config);
        state.set_host(host.known(host.asked(config).as_ref()));
        let access = &config.access.file.0.0;
        match fs::read(access) {
            Ok(text) => {
                let block = block::parse(&text);
                let beside = Beside::of(host.beside()).read();
                state.set_admin(match beside {
                    Ok(beside) => Answer::Known(beside.before(block.admins)),
                    Err(error) => Answer::Unknown(error.to_string().into()),
                });
                block.managed.iter().for_each(|entry| state.note_made(entry.since));
            }
            Err(error) => {
                let why = format!("{}: {error}", access.display());
                state.set_admin(Answer::Unknown(why.into()));
            }
        }
        Ok(glimpse)
    }

    /// Looks at the ledger alone. That there is none yet is no error: then nothing is known of any relay.
    ///
    /// # Errors
    /// If there is a ledger and it cannot be read.
    pub(crate) fn of_ledger(config: &Config) -> anyhow::Result<Self> {
        let (view, loaded) = match View::open(&config.ledger.path.0.0) {
            Ok(mut view) => {
                let loaded = view.load()?;
                (Some(view), loaded)
            }
            Err(Error::Missing { .. }) => (None, Loaded::default()),
            Err(error) => return Err(error.into()),
        };
        let mut remembered = Remembered::from(loaded);
        let state = remembered.state(config.rules());
        Ok(Self { state, policies: remembered.policies, view })
    }

    /// Whether there is a ledger at all.
    pub(crate) fn has_ledger(&self) -> bool {
        self.view.is_some()
    }

    /// The relay that is meant by what somebody typed; if no log could name it, none, and a complaint.
    pub(crate) fn relay(&self, typed: &str) -> Option<Relay<'static>> {
        let name = typed.trim().trim_end_matches('.');
        let text = self.state.meant_by(name).unwrap_or(name);
        let relay = Relay::parse(text.as_bytes()).map(Relay::into_owned);
        if relay.is_none() {
            complain(format!("{typed:?} is nothing that the log could name as a relay"));
        }
        relay
    }

    /// What happened to the relay lately, the oldest first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn history(&self, relay: &Relay<'_>) -> Result<Vec<Happening>, Error> {
        let Some(view) = &self.view else { return Ok(Vec::new()) };
        let since = clock::now().saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        view.history(Some(relay.as_str()), since, MOST_HAPPENINGS)
    }
}
