//! The heart as the ledger has it, for a command beside the daemon: read, shown, and never changed.
//!
//! It may be a second behind the daemon: what only counts is committed that late. Of the access file, or
//! the directory of a fleet, and of sendmail's configuration it knows what they say now.

use std::fs;

use access::block;
use config::Config;
use directory::Directory;
use jiff::{SignedDuration, Timestamp};
use ledger::{Error, Happening, Line, Loaded, View};
use policy::fact::{Answer, Sts};
use policy::state::State;

use crate::beside::Beside;
use crate::clock;
use crate::host::Host;
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
    /// Whether requests wait that may change what is known.
    pub(crate) waits: bool,
    /// None if there is no ledger yet.
    view: Option<View>,
}

/// The map of a fleet in its directory, or why it cannot be seen; none where the map is a file.
pub(crate) fn look_at_directory(
    config: &Config,
    host: &Host,
) -> Option<Result<directory::Look, String>> {
    let look = |settings| Directory::new(settings).and_then(|mut directory| directory.look());
    config.is_shared().then(|| match config.directory(&host.name(config)?) {
        Some(settings) => look(settings).map_err(|error| error.to_string()),
        None => Err("the config names no directory".to_owned()),
    })
}

impl Glimpse {
    /// Looks at the ledger, the access file and sendmail's configuration, and has sendmail say its own names: all that
    /// the guards rest on.
    ///
    /// # Errors
    /// See [`Glimpse::of_ledger`].
    pub(crate) fn take(config: &Config) -> anyhow::Result<Self> {
        let host = Host::look(config);
        let mut glimpse = Self::beside_host(config, &host)?;
        glimpse.state.set_host(host.known(host.asked(config).as_ref()));
        Ok(glimpse)
    }

    /// Looks at the ledger and the access file.
    ///
    /// # Errors
    /// See [`Glimpse::of_ledger`].
    pub(crate) fn of_ledger_and_access(config: &Config) -> anyhow::Result<Self> {
        Self::beside_host(config, &Host::look(config))
    }

    fn beside_host(config: &Config, host: &Host) -> anyhow::Result<Self> {
        let mut glimpse = Self::of_ledger(config)?;
        let state = &mut glimpse.state;
        if let Some(look) = look_at_directory(config, host) {
            let admins = match look {
                Ok(look) => {
                    look.ours.iter().for_each(|entry| state.note_made(entry.since));
                    Answer::Known(look.admins)
                }
                Err(why) => Answer::Unknown(why.into()),
            };
            state.set_admin(admins);
            return Ok(glimpse);
        }
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
        let waits = !remembered.requests.is_empty();
        Ok(Self { state, policies: remembered.policies, waits, view })
    }

    /// Whether there is a ledger at all.
    pub(crate) fn has_ledger(&self) -> bool {
        self.view.is_some()
    }

    /// What happened lately to whom the ledger knows by this name, the oldest first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn history(&self, name: &str) -> Result<Vec<Happening>, Error> {
        let Some(view) = &self.view else { return Ok(Vec::new()) };
        let since = clock::now().saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        view.history(Some(name), since, MOST_HAPPENINGS)
    }

    /// The last lines of the log that speak against the relay, the oldest first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn lines(&self, relay: &str) -> Result<Vec<Line>, Error> {
        self.view.as_ref().map_or(Ok(Vec::new()), |view| view.lines(relay))
    }
}
