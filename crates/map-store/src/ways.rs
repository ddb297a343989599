//! The ways of changing text and map: `replace`, `append`, `command`, and the text alone.
//!
//! A rebuild that fails has touched nothing. With `append` and `command` the map is changed in place by others' programs, so
//! there the text goes first and is put back, the same file, if they fail, unless somebody changed it meanwhile.
//!
//! The map is never left older than its text: `make -C /etc/mail`, and our own look, would take it for one that lags
//! behind. Nor is it made younger than a text that it was not built from: those would then never build it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sendmail::child::{self, Child};

use crate::live::open_plain;
use crate::makemap::{self, Ended};
use crate::new_text::{NewText, Put};
use crate::outcome::{Applied, Noticed, Rebuilt};
use crate::plan::Plan;
use crate::replace::{self, Scratch};
use crate::settings::{Rebuild, with_db};
use crate::source::Source;
use crate::{Error, FileStore, mtime, point};

/// How often the map is looked at after the operator's command.
const LOOK: Duration = Duration::from_millis(200);

impl FileStore {
    /// Does what is planned, or nothing (`None`) if the admin saved the access file meanwhile.
    pub(crate) fn attempt(
        &mut self,
        source: &Source,
        plan: Plan,
    ) -> Result<Option<Applied>, Error> {
        if !self.settings.has_map() {
            return self.text_only(source, plan);
        }
        self.check_map()?;
        let lags = self.lags(&self.stand(source)?);
        if !lags && !plan.changes_keys() && self.map_agrees(&plan)? {
            return self.text_only(source, plan);
        }
        match &self.settings.rebuild {
            Rebuild::Append if !lags && !plan.new_keys.is_empty() && plan.removed.is_empty() => {
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
        let dump = makemap::dump(&self.settings, &self.settings.map)?;
        Ok(dump.is_some_and(|dump| {
            makemap::wrong(&dump, &plan.expect).is_empty() && !makemap::has_stray(&dump, &plan.text)
        }))
    }

    fn text_only(&mut self, source: &Source, plan: Plan) -> Result<Option<Applied>, Error> {
        let put = match self.put_text(source, &plan)? {
            Text::Unchanged => None,
            Text::Put(put) => Some(put),
            Text::Saved => return Ok(None),
        };
        if let Some(put) = &put {
            replace::sync(&source.folder);
            if self.settings.has_map() {
                let db = self.settings.db();
                if let Err(error) =
                    open_plain(&db).and_then(|map| mtime::not_before(&map, put.new.id.mtime))
                {
                    tracing::info!(path = ?db, %error, "the map is now older than its text");
                }
                point::pass("map-raised");
            }
        }
        self.finish(put, source);
        Ok(Some(Applied::of(plan, Rebuilt::No, String::new(), Noticed::Nothing)))
    }

    /// Puts the new text in its place, if there is one.
    fn put_text(&mut self, source: &Source, plan: &Plan) -> Result<Text, Error> {
        if !plan.changes() {
            return Ok(if source.is_still_at(&source.path) {
                Text::Unchanged
            } else {
                Text::Saved
            });
        }
        Ok(match self.put(NewText::prepare(source, &plan.text)?, source)? {
            Some(put) => Text::Put(put),
            None => Text::Saved,
        })
    }

    /// A change has been made: remembers what it left.
    fn finish(&mut self, put: Option<Put>, source: &Source) {
        self.remember(put.as_ref().map_or(source, |put| &put.new));
        if let Some(put) = put {
            self.hold_replaced(put, source);
        }
        point::pass("scratch-removed");
    }

    /// [`Rebuild::Replace`].
    fn replace(&mut self, source: &Source, plan: Plan) -> Result<Option<Applied>, Error> {
        let text = plan.changes().then(|| NewText::prepare(source, &plan.text)).transpose()?;
        let folder = self.map_folder()?;
        let scratch = Scratch::new(&folder)?;
        let (map, live) = (scratch.path("map"), self.settings.db());
        let ended = makemap::build(&self.settings, &plan.text, &map)?;
        point::pass("map-built");
        let dump = self.read_back(&ended, &map)?;
        makemap::check(&ended, &dump, &plan.text, &plan.expect)?;
        point::pass("map-read-back");
        let db = with_db(&map);
        let put = match text {
            Some(text) => {
                finish_map(&db, &live, text.mtime()?)?;
                match self.put(text, source)? {
                    Some(put) => Some(put),
                    None => return Ok(None),
                }
            }
            None => {
                finish_map(&db, &live, source.id.mtime)?;
                if !source.is_still_at(&source.path) {
                    return Ok(None);
                }
                None
            }
        };
        let error = |source| Error::Replace { path: live.clone(), source };
        let replaced =
            point::at("text-put").map_err(error).and_then(|()| replace::replace(&db, &live));
        let replaced = match replaced {
            Ok(replaced) => replaced,
            Err(cause) => return Err(self.put_back(put, source, cause)),
        };
        point::pass("map-replaced");
        replace::sync(&source.folder);
        replace::sync(&folder);
        point::pass("synced");
        let noticed = self.raise(replaced.old);
        point::pass("old-map-raised");
        self.finish(put, source);
        Ok(Some(Applied::of(plan, Rebuilt::Replaced, ended.said, noticed)))
    }

    /// [`Rebuild::Append`].
    fn append(&mut self, source: &Source, plan: Plan) -> Result<Option<Applied>, Error> {
        let before = Before::of(&self.settings.db())?;
        let Text::Put(put) = self.put_text(source, &plan)? else { return Ok(None) };
        let lines: String = plan.new_keys.iter().map(|entry| entry.line() + "\n").collect();
        let ended = match self.append_lines(&lines, &plan) {
            Ok(ended) => ended,
            Err(cause) => match self.put_back(Some(put), source, cause) {
                Error::KeysWrong { keys, .. } => {
                    // It held an entry that the text has not, or lacked one: only a rebuild mends that.
                    tracing::info!(?keys, "the map was not as in the text; building it anew");
                    return self.replace(source, plan);
                }
                error => return Err(error),
            },
        };
        point::pass("appended");
        replace::sync(&source.folder);
        let noticed = self.raise_after_others(&before);
        self.finish(Some(put), source);
        Ok(Some(Applied::of(plan, Rebuilt::Appended, ended.said, noticed)))
    }

    fn append_lines(&self, lines: &str, plan: &Plan) -> Result<Ended, Error> {
        let error = |source| Error::Replace { path: self.settings.db(), source };
        point::at("text-put").map_err(error)?;
        let ended = makemap::append(&self.settings, lines.as_bytes(), &self.settings.map)?;
        let dump = self.read_back(&ended, &self.settings.map)?;
        let keys = makemap::wrong(&dump, &plan.expect);
        if keys.is_empty() { Ok(ended) } else { Err(keys_wrong(ended, keys)) }
    }

    /// [`Rebuild::Command`].
    fn command(
        &mut self,
        source: &Source,
        plan: Plan,
        argv: &[String],
    ) -> Result<Option<Applied>, Error> {
        let before = Before::of(&self.settings.db())?;
        let put = match self.put_text(source, &plan)? {
            Text::Unchanged => None,
            Text::Put(put) => Some(put),
            Text::Saved => return Ok(None),
        };
        let ended = match self.run_command(argv).and_then(|ended| self.await_keys(ended, &plan)) {
            Ok(ended) => ended,
            Err(cause) => return Err(self.put_back(put, source, cause)),
        };
        point::pass("command-ended");
        replace::sync(&source.folder);
        let noticed = self.raise_after_others(&before);
        self.finish(put, source);
        Ok(Some(Applied::of(plan, Rebuilt::ByCommand, ended.said, noticed)))
    }

    fn run_command(&self, argv: &[String]) -> Result<Ended, Error> {
        let [program, args @ ..] = argv else { return Err(Error::NoCommand) };
        let error = |source| Error::Replace { path: self.settings.db(), source };
        point::at("text-put").map_err(error)?;
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

/// What became of the text.
enum Text {
    /// It says what it should already.
    Unchanged,
    /// The new one is in its place.
    Put(Put),
    /// Others saved it meanwhile; it is theirs.
    Saved,
}

/// The live map before another program changes it.
struct Before {
    file: Option<File>,
    mtime: i64,
}

impl Before {
    fn of(db: &Path) -> Result<Self, Error> {
        let error = |source| Error::OpenMap { path: db.into(), source };
        match open_plain(db) {
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

/// Gives the new map what the live one has, if there is one, and brings it to the disk. `text`: the mtime of the text.
fn finish_map(db: &Path, live: &Path, text: (i64, i64)) -> Result<(), Error> {
    let error = |source| Error::Write { path: db.into(), source };
    let new = open_plain(db).map_err(error)?;
    mtime::not_before(&new, text).map_err(error)?;
    match open_plain(live) {
        Ok(old) => replace::dress_like(&new, &old, live)?,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::OpenMap { path: live.into(), source }),
    }
    new.sync_all().map_err(error)?;
    point::at("map-finished").map_err(error)
}
