//! Access file and map, as the daemon keeps them: changed, looked at, mended, and told to every sendmail.
//!
//! A map that does not belong to its text (older, without our keys, gone) is rebuilt, at the start and whenever a look
//! finds it so. When others replaced the live map, the processes that still hold the old one are told.
//!
//! **What fails.** A file that cannot be read, a rebuild that fails: said once for each reason, and tried again with the
//! next look. In dry run nothing is touched, only looked at.

use std::path::Path;

use access::admins::AdminsLine;
use access::managed::Managed;
use access::remedy::Tagged;
use map_store::{
    Applied, Error, FileStore, Known, Look as Found, Looked, MapIs, Noticed, Settings, Tended,
};
use policy::input::Look;
use tracing::{info, warn};

use crate::beside::Beside;
use crate::clock;
use crate::output::Safe;

/// Access file and map.
#[derive(Debug)]
pub(crate) struct Keeper {
    settings: Settings,
    /// The admin's entries in other maps.
    beside: Beside,
    /// The store, if it could be opened already.
    store: Option<FileStore>,
    /// Whether the map may be touched.
    armed: bool,
    /// File and map, as they were last looked at.
    known: Option<Known>,
    /// A sign of what the file was outside of our block then.
    rest: Option<String>,
    /// The map does not belong to its text.
    unmended: bool,
    /// Others are at work on the files.
    unsettled: bool,
    /// What went wrong last, so that it is said once.
    trouble: Option<String>,
}

/// What a look at the access file showed.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) look: Look,
    /// A sign of what it is outside of our block.
    pub(crate) rest: String,
}

impl Keeper {
    pub(crate) fn new(
        settings: Settings,
        beside: Beside,
        armed: bool,
        rest: Option<String>,
    ) -> Self {
        Self {
            settings,
            beside,
            store: None,
            armed,
            known: None,
            rest,
            unmended: false,
            unsettled: false,
            trouble: None,
        }
    }

    /// Before anything else: what a killed process left is made good, and the file is looked at.
    ///
    /// # Errors
    /// If the access file cannot be used.
    pub(crate) fn begin(&mut self) -> Result<Seen, Error> {
        self.open()?;
        self.mend();
        let found = self.open()?.look(None)?;
        match found {
            Looked::Found(found) => self.seen(*found),
            // Where nothing is known a look always finds.
            Looked::Same | Looked::Unsettled => {
                Ok(Seen { look: Look::default(), rest: String::new() })
            }
        }
    }

    /// Whether others were at work at the last look, so that the next one should come soon.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Why file or map cannot be used, if they cannot.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The map may be touched from now on, or no more.
    pub(crate) fn arm(&mut self, armed: bool) {
        self.armed = armed;
        self.mend();
    }

    /// Changes the file, and rebuilds the map.
    ///
    /// # Errors
    /// See [`Error`]; file and map are as before then.
    pub(crate) fn apply(&mut self, add: &[Managed], remove: &[Tagged]) -> Result<Applied, Error> {
        // Entries were decided by what the file said when it was last looked at; to take one out is always right.
        let decided_by = self.rest.clone().filter(|_| !add.is_empty());
        let store = self.open()?;
        let applied = match decided_by {
            Some(rest) => store.apply_over(&rest, add, remove)?,
            None => store.apply(add, remove)?,
        };
        self.unmended = false;
        report(&applied);
        self.heal();
        Ok(applied)
    }

    /// Takes a line of the admin's out, on his word, and rebuilds the map.
    ///
    /// # Errors
    /// See [`Error`]; file and map are as before then.
    pub(crate) fn take_out(&mut self, line: &AdminsLine) -> Result<(), Error> {
        let applied = self.open()?.take_out(line)?;
        self.unmended = false;
        report(&applied);
        self.heal();
        Ok(())
    }

    /// Looks at file and map, mends the map if it must be, and says what others did to the file, if they did.
    pub(crate) fn look(&mut self) -> Option<Seen> {
        self.tend();
        // What the admin changed in another map is news as well.
        let known = self.known.take().filter(|_| !self.beside.has_changed());
        let looked = self.open().and_then(|store| store.look(known.as_ref()));
        self.unsettled = matches!(looked, Ok(Looked::Unsettled));
        let seen = match looked {
            Ok(Looked::Found(found)) => self.seen(*found).map(Some),
            Ok(Looked::Same | Looked::Unsettled) => {
                self.known = known;
                Ok(None)
            }
            Err(error) => {
                self.known = known;
                Err(error)
            }
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                self.complain(&error);
                return None;
            }
        };
        if self.unmended {
            self.mend();
        } else {
            self.trouble = None;
        }
        seen
    }

    /// Looks at the file as it is now, whether or not anything seems to have changed.
    pub(crate) fn look_anew(&mut self) -> Option<Seen> {
        self.known = None;
        self.look()
    }

    /// Takes note of what a look found.
    ///
    /// # Errors
    /// If the admin's entries in other maps cannot be read; nothing is noted then.
    fn seen(&mut self, found: Found) -> Result<Seen, Error> {
        let beside = self.beside.read()?;
        for oddity in &found.oddities {
            warn!("{}", Safe(&oddity.to_string()));
        }
        self.unmended = !matches!(found.map, MapIs::Fine | MapIs::Others);
        if self.unmended && self.armed {
            info!(
                "the map does not belong to its text and is rebuilt: {}",
                Safe(&found.map.to_string())
            );
        }
        self.known = Some(found.known);
        let rest = found.rest.to_string();
        let before = self.rest.replace(rest.clone());
        let look = Look {
            ours: found.ours,
            block: found.block,
            rest_changed: before.is_some_and(|before| before != rest),
            admins: beside.before(found.admins),
        };
        Ok(Seen { look, rest })
    }

    /// Makes map and text belong together.
    fn mend(&mut self) {
        if !self.armed {
            return;
        }
        match self.open().and_then(FileStore::mend) {
            Ok(applied) => {
                (self.unmended, self.trouble) = (false, None);
                report(&applied);
                self.heal();
            }
            Err(error) => {
                self.unmended = true;
                self.complain(&error);
            }
        }
    }

    fn open(&mut self) -> Result<&mut FileStore, Error> {
        let store = match self.store.take() {
            Some(store) => store,
            None => FileStore::open(self.settings.clone())?,
        };
        Ok(self.store.insert(store))
    }

    /// Says what went wrong, unless it is what was said last.
    pub(crate) fn complain(&mut self, error: &Error) {
        let words = error.to_string();
        if self.trouble.as_ref() != Some(&words) {
            warn!("{}; it is tried again", Safe(&words));
            self.trouble = Some(words);
        }
    }

    /// Looks whether others have replaced the map.
    fn tend(&mut self) {
        let Some(store) = self.store.as_mut().filter(|_| self.armed) else { return };
        match store.tend() {
            Ok(Tended::Same | Tended::Appeared) => {}
            Ok(Tended::Gone) => warn!("the map is gone"),
            Ok(Tended::Replaced) => {
                info!("others replaced the map; every sendmail that holds the old one will notice");
                self.heal();
            }
            Ok(Tended::ReplacedUnnoticed(error)) => {
                warn!(
                    "others replaced the map, and the old one's mtime could not be raised: {error}"
                );
            }
            Err(error) => warn!("{}", Safe(&error.to_string())),
        }
    }

    /// Tells processes that hold a map which is deleted.
    pub(crate) fn heal(&self) {
        if !self.armed {
            return;
        }
        let db = self.settings.db();
        match sendmail::holders::heal(Path::new("/proc"), &db, clock::system()) {
            Ok(found) => {
                if !found.healed.is_empty() {
                    info!(pids = ?found.healed, "told processes that held a deleted map");
                }
                if !found.hidden.is_empty() {
                    info!(pids = ?found.hidden, "no right to see whether these hold a deleted map");
                }
                if !found.refused.is_empty() {
                    warn!(pids = ?found.refused, "no right to tell processes that hold a deleted map");
                }
            }
            Err(error) => warn!("cannot look for processes that hold a deleted map: {error}"),
        }
    }
}

/// What is worth telling of a change that was made.
fn report(applied: &Applied) {
    for oddity in &applied.oddities {
        warn!("{}", Safe(&oddity.to_string()));
    }
    if !applied.said.is_empty() {
        info!(said = %Safe(&applied.said), "the rebuild went well, with remarks");
    }
    if let Noticed::No(error) = &applied.noticed {
        warn!(
            "the old map's mtime could not be raised; a persistent queue runner must be restarted: {error}"
        );
    }
}
