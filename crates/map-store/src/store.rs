//! The access file and its map, changed together.
//!
//! ## Why a kill at any moment leaves both whole
//! Everything that takes time or can fail is done beside the live files: the new text is written and on disk, the new
//! map is built from that text, read back and on disk, before the first name changes. Then two renames follow each
//! other at once, the text's first. A kill before the first leaves everything as it was, plus a folder of ours that
//! the next start removes. A kill between the two leaves the new text with the old map: each is whole, mail goes on as
//! before, and [`FileStore::mend`] at the next start or any rebuild by the admin finishes the work. The other order
//! would leave the map ahead of the text: an entry in force that no line explains and that the admin's next rebuild
//! silently drops, or one that was lifted and that his next rebuild brings back. A kill after the second rename leaves
//! running senders on the old map until the next start tells them; see [`crate::left`].
//!
//! ## Others who save
//! An admin's editor takes no lock. A text that was saved less than [`QUIET`] ago may be half of one (an editor that
//! truncates and writes), so it is read once it has been at rest that long; an empty one, which is what a program leaves
//! that writes to `> access`, has to rest for [`QUIET_EMPTY`]. What is saved while we work is noticed by comparing what
//! was read with what came out when the names were exchanged, and the change begins anew; what is still written into
//! the file that was replaced, see [`crate::displaced`]; what a kill left half done, see [`crate::left`].
//!
//! ## What an attacker could try
//! Names from DNS get here only as [`Key`]s, which are checked again, and as comments, which are escaped. Arguments
//! are never text of theirs, and there is no shell. Temporary files stand in a folder of mode 0700 with a random name.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use access::admins::AdminsLine;
use access::managed::Managed;
use access::remedy::Tagged;

use crate::digest::Digest;
use crate::displaced::Displaced;
use crate::left;
use crate::live::{LiveMap, Tended};
use crate::lock::Lock;
use crate::look::Known;
use crate::outcome::{Applied, Snapshot};
use crate::plan::Plan;
use crate::replace::Scratch;
use crate::settings::Settings;
use crate::source::{Identity, Source, oddness};
use crate::{Error, point};

/// How often a change is begun anew because the admin saved the access file meanwhile.
const TRIES: u32 = 5;

/// How long a text must have been at rest before it is taken for a whole one.
pub(crate) const QUIET: Duration = Duration::from_millis(200);

/// The same for an empty one.
const QUIET_EMPTY: Duration = Duration::from_secs(5);

/// How long that is waited for; then the text is taken as it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an access file that is not there is waited for: some editors take it away before they write the new one.
const ABSENCE: Duration = Duration::from_secs(1);

/// How often it is looked at meanwhile.
const STEP: Duration = Duration::from_millis(20);

/// The access file and its map. One at a time works on them; it blocks, for as long as a rebuild takes.
#[derive(Debug)]
pub struct FileStore {
    pub(crate) settings: Settings,
    live: Option<LiveMap>,
    /// The text that is known to be whole: our own, or one that was at rest.
    pub(crate) quiet: Option<Identity>,
    /// What our last change left behind.
    pub(crate) left: Option<Known>,
    /// What the last look found, if that was not at rest.
    pub(crate) glimpsed: Option<Known>,
    /// Access files that we replaced, in which others may still write.
    pub(crate) displaced: Vec<Displaced>,
}

/// A change that is wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted<'a> {
    add: &'a [Managed],
    remove: &'a [Tagged],
    /// The sign of the lines outside our block by which it was decided, if that matters.
    rest: Option<&'a str>,
    /// A line of the admin's that is to go, instead of the others.
    line: Option<&'a AdminsLine>,
}

/// How long a folder that somebody has locked is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

impl FileStore {
    /// Looks at the access file and opens the live map. There need not be a map yet.
    ///
    /// # Errors
    /// If the access file cannot be read, or the map is something that sendmail refuses.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        Source::read(&settings.access)?;
        let mut store = Self {
            settings,
            live: None,
            quiet: None,
            left: None,
            glimpsed: None,
            displaced: Vec::new(),
        };
        if store.settings.has_map() {
            store.check_map()?;
            match LiveMap::open(&store.settings.db()) {
                Ok(live) => store.live = Some(live),
                Err(error) => tracing::warn!(%error, "the live map is not held open"),
            }
        }
        Ok(store)
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads the access file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self) -> Result<Snapshot, Error> {
        let text = Source::read(&self.settings.access)?.text;
        Ok(Snapshot::of(text))
    }

    /// Looks whether others have replaced the live map; see [`LiveMap::tend`]. Call it on a timer.
    ///
    /// # Errors
    /// If the map is there and cannot be opened.
    pub fn tend(&mut self) -> Result<Tended, Error> {
        if !self.settings.has_map() {
            return Ok(Tended::Same);
        }
        match &mut self.live {
            Some(live) => live.tend(),
            None => {
                self.live = Some(LiveMap::open(&self.settings.db())?);
                Ok(Tended::Same)
            }
        }
    }

    /// Makes access file and map belong together: what a killed trytlsd left is made good, and the map is rebuilt if it is
    /// older than its text or does not say of our keys what the text says. Call it at the start, before anything else, and
    /// when a look says so. With nothing to mend nothing is done; where others rebuild the map, it is left to them.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn mend(&mut self) -> Result<Applied, Error> {
        self.apply(&[], &[])
    }

    /// Takes the entries of `remove` away, adds those of `add`, and rebuilds the map once; afterwards the map is known
    /// to say so. What is in force already is skipped; with nothing to change the map is rebuilt only if it is older than
    /// the text or does not say what that says. An entry in `add` whose key is in our block replaces it.
    ///
    /// # Errors
    /// See [`Error`]. The access file then holds what it held before.
    pub fn apply(&mut self, add: &[Managed], remove: &[Tagged]) -> Result<Applied, Error> {
        self.change(&Wanted { add, remove, ..Wanted::default() })
    }

    /// The same, if all lines outside our block are still those of the sign (see [`crate::Look::rest`]): what was decided
    /// by them may not hold for others.
    ///
    /// # Errors
    /// [`Error::Overtaken`] if they are not; nothing is changed then. Else as [`FileStore::apply`].
    pub fn apply_over(
        &mut self,
        rest: &str,
        add: &[Managed],
        remove: &[Tagged],
    ) -> Result<Applied, Error> {
        self.change(&Wanted { add, remove, rest: Some(rest), line: None })
    }

    /// Takes a line of the admin's out, on his word, and rebuilds the map; afterwards the map is known to be without it. All
    /// else stays, to the byte.
    ///
    /// # Errors
    /// [`Error::LineStays`] if it is not the line that was meant, or another one would take its place; nothing is changed
    /// then. Else as [`FileStore::apply`].
    pub fn take_out(&mut self, line: &AdminsLine) -> Result<Applied, Error> {
        self.change(&Wanted { line: Some(line), ..Wanted::default() })
    }

    fn change(&mut self, wanted: &Wanted<'_>) -> Result<Applied, Error> {
        let mut done = None;
        for _ in 0..TRIES {
            // What came in from elsewhere after the change is brought into the map, and judged by nobody here.
            let again = Wanted { rest: None, line: None, ..*wanted };
            match self.round(if done.is_none() { wanted } else { &again }) {
                Ok(None) => {
                    tracing::info!("the access file was saved by others meanwhile; again");
                }
                Ok(Some((applied, again))) => {
                    done = done.or(Some(applied));
                    if !again {
                        break;
                    }
                }
                // The change is made; what others wrote meanwhile is not in the map yet.
                Err(error) if done.is_some() => {
                    tracing::warn!(%error, "the map is now older than its text");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let path = &self.settings.access;
        done.ok_or_else(|| Error::Changing { path: path.clone(), tries: TRIES })
    }

    /// Makes the change, unless the admin saved meanwhile (`None`); and whether something was brought in afterwards.
    fn round(&mut self, wanted: &Wanted<'_>) -> Result<Option<(Applied, bool)>, Error> {
        let source = self.source()?;
        let _locks = self.lock(&source)?;
        self.rescue();
        // Under the lock: another trytlsd may have been at work until now.
        let source = self.settled()?;
        if wanted.rest.is_some_and(|rest| Digest::of_rest(&source.text).to_string() != rest) {
            return Err(Error::Overtaken { path: source.path });
        }
        let plan = match wanted.line {
            Some(line) => Plan::without(&source.text, line)?,
            None => Plan::of(&source.text, wanted.add, wanted.remove)?,
        };
        Ok(self.attempt(&source, plan)?.map(|applied| (applied, self.rescue())))
    }

    /// Reads the access file; waits a little for one that is not there.
    pub(crate) fn source(&self) -> Result<Source, Error> {
        let end = Instant::now() + ABSENCE;
        loop {
            match Source::read(&self.settings.access) {
                Err(Error::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && Instant::now() < end =>
                {
                    sleep(STEP);
                }
                read => return read,
            }
        }
    }

    /// Reads the access file when it is at rest.
    fn settled(&mut self) -> Result<Source, Error> {
        let source = self.source()?;
        let rest = if source.id.size == 0 { QUIET_EMPTY } else { QUIET };
        if self.quiet == Some(source.id) || is_older(&source, rest) {
            self.quiet = Some(source.id);
            return Ok(source);
        }
        self.await_rest(source, QUIET_EMPTY)
    }

    /// Reads the access file again when it has been at rest for [`QUIET`], or, as long as it is empty, for `empty`.
    pub(crate) fn await_rest(
        &mut self,
        mut source: Source,
        empty: Duration,
    ) -> Result<Source, Error> {
        let end = Instant::now() + PATIENCE;
        let mut since = Instant::now();
        let rest = |source: &Source| if source.id.size == 0 { empty } else { QUIET };
        while since.elapsed() < rest(&source) && Instant::now() < end {
            sleep(STEP);
            if !source.is_still_at(&source.path) {
                source = self.source()?;
                since = Instant::now();
            }
        }
        self.quiet = Some(source.id);
        Ok(source)
    }

    /// Locks the folders and makes good what a killed process left there.
    pub(crate) fn lock(&self, source: &Source) -> Result<Vec<Lock>, Error> {
        let mut folders = vec![source.folder.clone()];
        if self.settings.has_map() {
            folders.push(self.map_folder()?);
        }
        folders.sort();
        folders.dedup();
        let in_use: Vec<&Path> = self.displaced.iter().filter_map(Displaced::folder).collect();
        let mut locks = Vec::new();
        for folder in folders {
            let lock = Lock::take(&folder, self.settings.timeout.min(LOCK_PATIENCE))?;
            if lock.is_exclusive() {
                left::sweep(&folder, &in_use);
            }
            locks.push(lock);
        }
        point::pass("locked");
        Ok(locks)
    }

    pub(crate) fn map_folder(&self) -> Result<PathBuf, Error> {
        let path = &self.settings.map;
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        folder.canonicalize().map_err(|source| Error::Folder { folder: folder.into(), source })
    }

    /// Refuses a map that makemap and sendmail refuse, before anything is done.
    pub(crate) fn check_map(&self) -> Result<(), Error> {
        let path = self.settings.db();
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::OpenMap { path, source }),
            Ok(metadata) => match oddness(&metadata) {
                Some(what) => Err(Error::OddMap { path, what }),
                None if std::os::unix::fs::MetadataExt::nlink(&metadata) > 1 => {
                    Err(Error::OddMap { path, what: "a file with several hard links" })
                }
                None => Ok(()),
            },
        }
    }
}

/// Whether the text was saved longer ago than that, by the clock of its file system. Unknown is no.
fn is_older(source: &Source, age: Duration) -> bool {
    let Ok(Ok(now)) = Scratch::new(&source.folder).map(|scratch| scratch.made()) else {
        return false;
    };
    let nanos =
        |(seconds, nanos): (i64, i64)| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    u128::try_from(nanos(now) - nanos(source.id.mtime)).is_ok_and(|passed| passed > age.as_nanos())
}
