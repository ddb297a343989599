//! The access map of a fleet, in an LDAP directory that sendmail itself reads (`FEATURE(access_db, LDAP)`), and what the
//! MTAs of the fleet say to each other there.
//!
//! Knows where things stand in the directory (docs/fleet.md), whose they are, how two MTAs that write at once end with one
//! entry, and how old a statement is. Does not know why an entry is wanted and who decides.
//!
//! A [`Directory`] is for a plain thread: each call blocks until it is done, at most [`Settings::longest`]. It connects when
//! it is first needed and again after failures; an [`Error`] says what to do and when to try again.
//!
//! **Rights.** The bind DN needs to read everything of the map below the base, to write below
//! `sendmailMTAMapName=access,sendmailMTACluster=…`, and below `sendmailMTAHost=<this MTA>,sendmailMTAMapName=trytlsd,…`.
//! Who may write under another MTA's name can vote for it: give each MTA a bind DN of its own where that matters. An entry
//! that the server does not show us is not there for us: half a view of the map must not be given.
//!
//! **What an attacker could try.** With rights on the access map he needs no trytlsd. With those of one MTA he has one
//! vote. Rows may hold anything; what is not in our own form, to the letter, is the admin's in the access map and passed
//! over among the votes. No text of a row or of the server leaves this crate unescaped, but for values in
//! [`Look::admins`], whose bytes are the admin's own as in a file.

mod ballot;
mod clock;
mod connect;
mod dn;
mod entries;
mod error;
mod link;
mod look;
mod mark;
mod object;
mod pump;
mod row;
mod server;
mod session;
mod settings;
mod vote;
mod wire;

use std::fmt;
use std::time::Duration;

use access::managed::Managed;
use access::remedy::Tagged;
use ldap3::Scope;
use tokio::runtime::{Builder, Runtime};

pub use self::ballot::{Dead, Votes};
pub use self::entries::{Added, Changed};
pub use self::error::{Error, Kind};
pub use self::look::{Conflict, Look};
pub use self::server::{Invalid, Server, Tls};
pub use self::settings::{Bind, Settings};
pub use self::vote::Vote;
/// What an MTA says: the heart's own words, as `facts` answers its questions.
pub use policy::fleet::Says;

use self::clock::Clock;
use self::link::Link;
use self::mark::Mark;
use self::vote::Statement;

/// A directory.
pub struct Directory {
    link: Link,
    /// The server's, once it is known.
    clock: Option<Clock>,
    /// How the map's database stood just before the last look.
    mark: Option<Mark>,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

/// What sendmail on this host finds for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    None,
    /// One object. Its value; an empty one if it points to somewhere else.
    One {
        /// The value, to the last byte.
        value: Box<[u8]>,
        /// Whether it is an entry of ours.
        ours: bool,
    },
    /// So many objects, which is nothing to sendmail.
    Several(usize),
}

impl Directory {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// If the settings cannot be worked with.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::mistake(format!("the directory: {error}")))?;
        Ok(Self { link: Link::new(settings), clock: None, mark: None, runtime: Some(runtime) })
    }

    /// All of the access map that sendmail on this host sees.
    ///
    /// # Errors
    /// If not all of it could be read.
    pub fn look(&mut self) -> Result<Look, Error> {
        let (mark, look) = self.run(async |session, settings| {
            let container = settings.container(&settings.map);
            session.must_exist(&container).await?;
            let mark = Mark::of(session, settings).await?;
            let filter = object::seen_by_sendmail(settings, None);
            let rows = session.search(&settings.base, Scope::Subtree, &filter, object::ALL).await?;
            Ok((mark, Look::of(&rows, settings)))
        })?;
        self.mark = mark;
        Ok(look)
    }

    /// Whether a look would show what the last one showed: one small question, where a look of 10,000 entries is 50 answers
    /// of the server's. Never so where the server does not tell, before a first look, over a new connection, and ten
    /// minutes after the look.
    ///
    /// # Errors
    /// If the directory cannot be asked.
    pub fn is_unchanged(&mut self) -> Result<bool, Error> {
        let Some(mark) = self.mark.clone() else { return Ok(false) };
        self.run(async |session, _| mark.holds(session).await)
    }

    /// Makes an entry of ours.
    ///
    /// # Errors
    /// If the key may not be written, or the directory does not take it.
    pub fn add(&mut self, entry: &Managed) -> Result<Added, Error> {
        if !entry.key.is_valid() {
            return Err(Error::mistake(format!(
                "{:?} is no key that may be written",
                entry.tagged().to_string()
            )));
        }
        self.run(async |session, settings| entries::add(session, settings, entry).await)
    }

    /// Takes an entry of ours out.
    ///
    /// # Errors
    /// If the directory does not do it.
    pub fn remove(&mut self, entry: &Tagged) -> Result<Changed, Error> {
        self.run(async |session, settings| entries::remove(session, settings, entry).await)
    }

    /// Gives an entry of ours another end, or another reason.
    ///
    /// # Errors
    /// If the directory does not do it.
    pub fn renew(&mut self, entry: &Managed) -> Result<Changed, Error> {
        self.run(async |session, settings| entries::renew(session, settings, entry).await)
    }

    /// What sendmail on this host finds for a key, tag and all.
    ///
    /// # Errors
    /// If the directory does not say.
    pub fn lookup(&mut self, key: &str) -> Result<Answer, Error> {
        self.run(async |session, settings| {
            let filter = object::seen_by_sendmail(settings, Some(key));
            let rows = session.search(&settings.base, Scope::Subtree, &filter, object::ALL).await?;
            Ok(match rows.as_slice() {
                [] => Answer::None,
                [row] => match object::value(row) {
                    Some(value) => Answer::One {
                        value: value.into(),
                        ours: object::ours(row, settings).is_some(),
                    },
                    None => Answer::None,
                },
                several => Answer::Several(several.len()),
            })
        })
    }

    /// What the MTAs of the fleet say, with ages by the server's clock. Writes, if that clock has to be learnt.
    ///
    /// # Errors
    /// If not all of it could be read, or the clock not be learnt.
    pub fn votes(&mut self) -> Result<Votes, Error> {
        let known = self.clock;
        let (clock, votes) = self.run(async |session, settings| {
            let clock = match known.filter(|clock| clock.is_fresh(session.number)) {
                Some(clock) => clock,
                None => ballot::beat(session, settings).await?,
            };
            Ok((clock, ballot::votes(session, settings, clock).await?))
        })?;
        self.clock = Some(clock);
        Ok(votes)
    }

    /// Says something of a relay, in place of what was said of it before; `seen`: how many seconds ago that was seen. To be
    /// said again before [`Settings::vote_ttl`] is over.
    ///
    /// # Errors
    /// If it cannot be said, or the directory does not take it.
    pub fn vote(&mut self, relay: &str, says: &Says, seen: u32) -> Result<(), Error> {
        let ttl = u32::try_from(self.link.settings.vote_ttl.as_secs()).unwrap_or(u32::MAX);
        let statement = Statement { says: says.clone(), ttl, seen };
        self.run(async |session, settings| ballot::vote(session, settings, relay, &statement).await)
    }

    /// Says nothing of a relay any more.
    ///
    /// # Errors
    /// If the directory does not do it.
    pub fn withdraw(&mut self, relay: &str) -> Result<(), Error> {
        self.run(async |session, settings| ballot::withdraw(session, settings, relay).await)
    }

    /// Deletes those of the rows that have been dead for longer than that, whoever's they are. How many it could.
    ///
    /// # Errors
    /// If the directory cannot be asked; not if it does not let us.
    pub fn reap(&mut self, dead: &[Dead], long: Duration) -> Result<usize, Error> {
        self.run(async |session, _| ballot::reap(session, dead, long).await)
    }

    fn run<T>(
        &mut self,
        operation: impl AsyncFnMut(&mut session::Session<'_>, &Settings) -> Result<T, error::Trouble>,
    ) -> Result<T, Error> {
        let Some(runtime) = &self.runtime else {
            return Err(Error::mistake("the directory was closed"));
        };
        runtime.block_on(self.link.run(operation))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Not waiting for a name that is still being resolved.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("link", &self.link).finish_non_exhaustive()
    }
}
