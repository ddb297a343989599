//! The access file and its map, changed together.
//!
//! ## Why a kill at any moment leaves both whole
//! Everything that takes time or can fail is done beside the live files: the new text is written and on disk, the new
//! map is built from that text, read back and on disk, before the first name changes. Then two renames follow each
//! other at once, the text's first. A kill before the first leaves everything as it was, plus a folder of ours that
//! the next start removes. A kill between the two leaves the new text with the old map: each is whole, mail goes on as
//! before, and the next [`FileStore::apply`] (with nothing to add, at the start of the daemon) or any rebuild by the
//! admin finishes the work. The other order would leave the map ahead of the text: an entry in force that no line
//! explains and that the admin's next rebuild silently drops, or one that was lifted and that his next rebuild brings
//! back. A kill after the second rename leaves running senders on the old map until the healing at the start, or
//! until they end.
//!
//! A rebuild that fails has therefore touched nothing. With `append` and `command` the map is changed in place by
//! others' programs, so there the text goes first and is put back, the same file, if they fail, unless somebody
//! changed it meanwhile.
//!
//! ## What an attacker could try
//! Names from DNS get here only as [`Key`]s, which are checked again, and as comments, which are escaped. Arguments
//! are never text of theirs, and there is no shell. Temporary files stand in a folder of mode 0700 with a random name.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use access::key::Key;
use access::managed::Managed;
use sendmail::child::{self, Child};

use crate::Error;
use crate::live::{LiveMap, Tended};
use crate::lock::Lock;
use crate::makemap::{self, Ended};
use crate::mtime;
use crate::new_text::{NewText, put_back};
use crate::outcome::{Applied, Noticed, Rebuilt, Snapshot};
use crate::plan::Plan;
use crate::replace::{self, Scratch};
use crate::settings::{Rebuild, Settings, with_db};
use crate::source::{Source, oddness};

/// How often a change is begun anew because the admin saved the access file meanwhile.
const TRIES: u32 = 5;

/// How often the map is looked at after the operator's command.
const LOOK: Duration = Duration::from_millis(200);

/// The access file and its map. One at a time works on them; it blocks, for as long as a rebuild takes.
#[derive(Debug)]
pub struct FileStore {
    settings: Settings,
    live: Option<LiveMap>,
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
        let mut store = Self { settings, live: None };
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

    /// Takes the entries of `remove` away, adds those of `add`, and rebuilds the map once; afterwards the map is known
    /// to say so. What is in force already is skipped; with nothing to change the map is rebuilt only if it does not
    /// say what the text says. An entry in `add` whose key is in our block replaces it.
    ///
    /// # Errors
    /// See [`Error`]. The access file then holds what it held before.
    pub fn apply(&mut self, add: &[Managed], remove: &[Key]) -> Result<Applied, Error> {
        for _ in 0..TRIES {
            let source = Source::read(&self.settings.access)?;
            let _locks = self.lock(&source)?;
            // Once more under the lock: another trytlsd may have been at work until now.
            let source = Source::read(&self.settings.access)?;
            let plan = Plan::of(&source.text, add, remove)?;
            if let Some(applied) = self.attempt(&source, plan)? {
                return Ok(applied);
            }
            tracing::info!(path = ?source.path, "the access file was saved by others meanwhile; again");
        }
        Err(Error::Changing { path: self.settings.access.clone(), tries: TRIES })
    }

    /// Locks the folders and removes what a killed process left there.
    fn lock(&self, source: &Source) -> Result<Vec<Lock>, Error> {
        let mut folders = vec![source.folder.clone()];
        if self.settings.has_map() {
            folders.push(self.map_folder()?);
        }
        folders.sort();
        folders.dedup();
        let mut locks = Vec::new();
        for folder in folders {
            let lock = Lock::take(&folder, self.settings.timeout.min(LOCK_PATIENCE))?;
            if lock.is_exclusive() {
                replace::sweep(&folder);
            }
            locks.push(lock);
        }
        Ok(locks)
    }

    fn map_folder(&self) -> Result<PathBuf, Error> {
        let path = &self.settings.map;
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        folder.canonicalize().map_err(|source| Error::Folder { folder: folder.into(), source })
    }

    /// Refuses a map that makemap and sendmail refuse, before anything is done.
    fn check_map(&self) -> Result<(), Error> {
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

    /// Does what is planned, or nothing (`None`) if the admin saved the access file meanwhile.
    fn attempt(&mut self, source: &Source, plan: Plan) -> Result<Option<Applied>, Error> {
        if !self.settings.has_map() {
            return self.text_only(source, plan);
        }
        self.check_map()?;
        if !plan.changes_keys() && self.map_agrees(&plan)? {
            return self.text_only(source, plan);
        }
        match &self.settings.rebuild {
            Rebuild::Append
                if !plan.new_keys.is_empty()
                    && plan.removed.is_empty()
                    && self.settings.db().exists() =>
            {
                self.append(source, plan)
            }
            Rebuild::Command(argv) => {
                let argv = argv.clone();
                self.command(source, plan, &argv)
            }
            Rebuild::Append | Rebuild::Replace | Rebuild::None => self.replace(source, plan),
        }
    }

    /// Whether the live map says of our keys what the text says, and turns TLS off for none that the text does not
    /// name: a lift that was killed between its two renames leaves such a one. A map that cannot be read does not.
    fn map_agrees(&self, plan: &Plan) -> Result<bool, Error> {
        if !self.settings.db().exists() {
            return Ok(false);
        }
        let dump = makemap::dump(&self.settings, &self.settings.map)?;
        Ok(dump.is_some_and(|dump| {
            makemap::wrong(&dump, &plan.expect).is_empty() && !makemap::has_stray(&dump, &plan.text)
        }))
    }

    fn text_only(&self, source: &Source, plan: Plan) -> Result<Option<Applied>, Error> {
        if !plan.changes() {
            return Ok(Some(Applied::of(plan, Rebuilt::No, String::new(), Noticed::Nothing)));
        }
        let text = NewText::prepare(source, &plan.text)?;
        if text.put(source)?.is_none() {
            return Ok(None);
        }
        replace::sync(&source.folder);
        Ok(Some(Applied::of(plan, Rebuilt::No, String::new(), Noticed::Nothing)))
    }

    /// [`Rebuild::Replace`].
    fn replace(&mut self, source: &Source, plan: Plan) -> Result<Option<Applied>, Error> {
        let text = plan.changes().then(|| NewText::prepare(source, &plan.text)).transpose()?;
        let folder = self.map_folder()?;
        let scratch = Scratch::new(&folder)?;
        let (map, live) = (scratch.path("map"), self.settings.db());
        let ended = makemap::build(&self.settings, &plan.text, &map)?;
        let dump = self.read_back(&ended, &map)?;
        makemap::check(&ended, &dump, &plan.text, &plan.expect)?;
        let db = with_db(&map);
        finish_map(&db, &live)?;
        let put = match text {
            Some(text) => match text.put(source)? {
                Some(put) => Some(put),
                None => return Ok(None),
            },
            None if source.is_still_at(&source.path) => None,
            None => return Ok(None),
        };
        let replaced = match replace::replace(&db, &live) {
            Ok(replaced) => replaced,
            Err(cause) => return Err(put_back(put, source, cause)),
        };
        replace::sync(&source.folder);
        replace::sync(&folder);
        let noticed = self.raise(replaced.old);
        Ok(Some(Applied::of(plan, Rebuilt::Replaced, ended.said, noticed)))
    }

    /// [`Rebuild::Append`].
    fn append(&mut self, source: &Source, plan: Plan) -> Result<Option<Applied>, Error> {
        let before = Before::of(&self.settings.db())?;
        let text = NewText::prepare(source, &plan.text)?;
        let Some(put) = text.put(source)? else { return Ok(None) };
        let lines: String =
            plan.new_keys.iter().map(|key| access::managed::line(key) + "\n").collect();
        let done = makemap::append(&self.settings, lines.as_bytes(), &self.settings.map).and_then(
            |ended| {
                let dump = self.read_back(&ended, &self.settings.map)?;
                let keys = makemap::wrong(&dump, &plan.expect);
                if keys.is_empty() { Ok(ended) } else { Err(keys_wrong(ended, keys)) }
            },
        );
        let ended = match done.map_err(|cause| put_back(Some(put), source, cause)) {
            Ok(ended) => ended,
            Err(Error::KeysWrong { keys, .. }) => {
                // It held an entry that the text has not, or lacked one: only a rebuild mends that.
                tracing::info!(?keys, "the map was not as in the text; building it anew");
                return self.replace(source, plan);
            }
            Err(error) => return Err(error),
        };
        replace::sync(&source.folder);
        let noticed = self.raise_after_others(&before);
        Ok(Some(Applied::of(plan, Rebuilt::Appended, ended.said, noticed)))
    }

    /// [`Rebuild::Command`].
    fn command(
        &mut self,
        source: &Source,
        plan: Plan,
        argv: &[String],
    ) -> Result<Option<Applied>, Error> {
        let before = Before::of(&self.settings.db())?;
        let text = plan.changes().then(|| NewText::prepare(source, &plan.text)).transpose()?;
        let put = match text {
            Some(text) => match text.put(source)? {
                Some(put) => Some(put),
                None => return Ok(None),
            },
            None => None,
        };
        let ended = match self.run_command(argv).and_then(|ended| self.await_keys(ended, &plan)) {
            Ok(ended) => ended,
            Err(cause) => return Err(put_back(put, source, cause)),
        };
        replace::sync(&source.folder);
        let noticed = self.raise_after_others(&before);
        Ok(Some(Applied::of(plan, Rebuilt::ByCommand, ended.said, noticed)))
    }

    fn run_command(&self, argv: &[String]) -> Result<Ended, Error> {
        let [program, args @ ..] = argv else { return Err(Error::NoCommand) };
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let timeout = self.settings.timeout;
        let program = Path::new(program);
        let output =
            child::run(&Child { program, args: &args, stdin: b"", timeout, stdout_cap: 0 })?;
        let said = makemap::said(&output.stderr);
        Ok(Ended { what: format!("the command {:?}", argv.join(" ")), status: output.status, said })
    }

    /// Waits until the map says what the text says: the command may only have asked somebody else to rebuild it. Its
    /// status does not decide (`make` ends with 2 for an old duplicate, and moves the new map all the same).
    fn await_keys(&self, ended: Ended, plan: &Plan) -> Result<Ended, Error> {
        // A command that failed will do nothing more.
        let patience = if ended.status.success() { self.settings.timeout } else { LOOK };
        let end = Instant::now() + patience;
        loop {
            let dump = makemap::dump(&self.settings, &self.settings.map)?.unwrap_or_default();
            let keys = makemap::wrong(&dump, &plan.expect);
            if keys.is_empty() {
                return Ok(ended);
            }
            if Instant::now() >= end {
                return Err(keys_wrong(ended, keys));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn read_back(&self, ended: &Ended, map: &Path) -> Result<Vec<u8>, Error> {
        makemap::dump(&self.settings, map)?.ok_or_else(|| Error::NoMap {
            what: ended.what.clone(),
            status: ended.status,
            said: ended.said.clone(),
        })
    }

    /// After a rename of ours: `old` is what it replaced, our own or what others had put there just before.
    fn raise(&mut self, old: Option<io::Result<File>>) -> Noticed {
        let noticed = match old.map(|old| old.and_then(|old| mtime::raise(&old))) {
            None => Noticed::Nothing,
            Some(Ok(())) => Noticed::Yes,
            Some(Err(error)) => Noticed::No(error),
        };
        self.hold();
        noticed
    }

    /// After a change by another program, in place or by rename.
    fn raise_after_others(&mut self, before: &Before) -> Noticed {
        let noticed = match before.file.as_ref().map(|file| mtime::raise_above(file, before.mtime))
        {
            None => Noticed::Nothing,
            Some(Ok(())) => Noticed::Yes,
            Some(Err(error)) => Noticed::No(error),
        };
        self.hold();
        noticed
    }

    /// Holds the live map that is there now; raises the mtime of the one that was held.
    fn hold(&mut self) {
        match self.tend() {
            Ok(tended) => tracing::debug!(?tended, "the live map after a change of ours"),
            Err(error) => tracing::warn!(%error, "the live map is not held open"),
        }
    }
}

/// The live map before another program changes it.
struct Before {
    file: Option<File>,
    mtime: i64,
}

impl Before {
    fn of(db: &Path) -> Result<Self, Error> {
        let error = |source| Error::OpenMap { path: db.into(), source };
        match crate::live::open_plain(db) {
            Ok(file) => Ok(Self { mtime: mtime::seconds(&file).map_err(error)?, file: Some(file) }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Self { file: None, mtime: 0 })
            }
            Err(source) => Err(error(source)),
        }
    }
}

fn keys_wrong(ended: Ended, keys: Vec<String>) -> Error {
    Error::KeysWrong { what: ended.what, status: ended.status, keys, said: ended.said }
}

/// Gives the new map what the live one has, if there is one, and brings it to the disk.
fn finish_map(db: &Path, live: &Path) -> Result<(), Error> {
    let error = |source| Error::Write { path: db.into(), source };
    let new = crate::live::open_plain(db).map_err(error)?;
    match crate::live::open_plain(live) {
        Ok(old) => replace::dress_like(&new, &old, live)?,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::OpenMap { path: live.into(), source }),
    }
    new.sync_all().map_err(error)
}
