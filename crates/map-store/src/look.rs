//! Looking at the access file and its map on a timer: what others did to them.
//!
//! A look at files that nobody touched is two `stat`s. When they were touched, somebody may be in the middle of it: an
//! editor that saves in place, an admin who has saved and is about to run `make`. So a change is looked into only when
//! two looks in a row have found the same; our own changes need no second look.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use access::block::{self, Oddity};
use access::lookup::Entries;
use access::managed::Managed;

use crate::digest::Digest;
use crate::plan::Plan;
use crate::source::{Identity, Source};
use crate::store::QUIET;
use crate::{Error, FileStore, makemap};

/// What a look found.
#[derive(Debug)]
pub enum Looked {
    /// Text and map are those that are known.
    Same,
    /// Others are at work on them, or have just been: look again in a moment.
    Unsettled,
    /// They are others than those that are known, and at rest.
    Found(Box<Look>),
}

/// The access file and its map, as they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The entries of our block.
    pub ours: Vec<Managed>,
    /// Whether our block is there, with or without entries.
    pub block: bool,
    /// A sign of all lines outside our block (empty ones do not count). Keep it as text in the ledger: the same text
    /// gives the same sign after a restart.
    pub rest: Digest,
    /// The admin's own lines outside our block, as far as they matter to TLS.
    pub admins: Entries,
    /// What is odd about our block.
    pub oddities: Vec<Oddity>,
    /// How the map stands to the text.
    pub map: MapIs,
    /// To be handed to the next look.
    pub known: Known,
}

/// How the map stands to its text. All but the first two are mended by [`FileStore::mend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapIs {
    /// There is none, or others build it.
    Others,
    /// It says of our keys what the text says, and is not older.
    Fine,
    /// It is not there.
    Gone,
    /// The text was saved after it was built.
    Older,
    /// It lacks these keys of ours, or has another value for them, or (no keys) turns TLS off where the text does not.
    Wrong(Vec<String>),
    /// makemap cannot read it; says why.
    Unreadable(String),
}

impl fmt::Display for MapIs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Others => f.write_str("others build it"),
            Self::Fine => f.write_str("it says what the text says"),
            Self::Gone => f.write_str("it is not there"),
            Self::Older => f.write_str("it is older than its text"),
            Self::Wrong(keys) if keys.is_empty() => f.write_str("it has entries the text has not"),
            Self::Wrong(keys) => write!(f, "not as in the text: {}", keys.join(", ")),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
        }
    }
}

/// By what text and map are known again as long as this process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    text: Option<Stamp>,
    map: Option<Stamp>,
}

/// What changes when a file or its name is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    id: Identity,
    ctime: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { id: Identity::of(metadata), ctime: (metadata.ctime(), metadata.ctime_nsec()) }
    }

    fn at(path: &Path) -> io::Result<Option<Self>> {
        match path.metadata() {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl FileStore {
    /// Looks at the access file and the map. Hand in what the last look gave; without, it waits until the text has been at
    /// rest for 0.2 s, and always finds. Between two looks a second or more should pass: what both see unchanged is taken
    /// for finished. Nothing is changed, but for what others wrote into a file that we had replaced: that is brought in
    /// first.
    ///
    /// # Errors
    /// If the access file cannot be read; with [`Looked::Unsettled`] before, if it was there until now.
    pub fn look(&mut self, known: Option<&Known>) -> Result<Looked, Error> {
        if self.has_displaced_writes() {
            let source = self.source()?;
            let _locks = self.lock(&source)?;
            self.rescue();
        }
        let now = self.stamps()?;
        if let Some(known) = known {
            if *known == now {
                self.glimpsed = None;
                return Ok(Looked::Same);
            }
            if self.left.as_ref() != Some(&now) && self.glimpsed.as_ref() != Some(&now) {
                self.glimpsed = Some(now);
                return Ok(Looked::Unsettled);
            }
        }
        self.glimpsed = None;
        let source = self.source()?;
        let source = if known.is_some() || self.quiet == Some(source.id) {
            source
        } else {
            self.await_rest(source, QUIET)?
        };
        let now = self.stand(&source)?;
        let map = self.map_is(&source, &now)?;
        let block = block::parse(&source.text);
        Ok(Looked::Found(Box::new(Look {
            ours: block.managed,
            block: block::is_there(&source.text),
            rest: Digest::of_rest(&source.text),
            admins: block.admins,
            oddities: block.oddities,
            map,
            known: now,
        })))
    }

    /// Remembers what a change of ours left behind, for looks to come: this text, and the map as it is now.
    pub(crate) fn remember(&mut self, text: &Source) {
        self.quiet = Some(text.id);
        self.left = self
            .stand(text)
            .ok()
            .map(|known| Known { text: known.text.filter(|now| now.id == text.id), ..known });
    }

    /// Whether the text was saved after the map was built. Its time tells; and a text that is another than we left, beside
    /// the map that we left, was saved since, whatever its time is (`cp -p`; and the map's may be a second ahead).
    pub(crate) fn lags(&self, now: &Known) -> bool {
        let Some((text, map)) = now.text.as_ref().zip(now.map.as_ref()) else { return true };
        let is_text = |left: &Stamp| left.id == text.id;
        let saved = |left: &Known| left.map == now.map && !left.text.as_ref().is_some_and(is_text);
        map.id.mtime < text.id.mtime || self.left.as_ref().is_some_and(saved)
    }

    /// The text that was read, and the map as it is now.
    pub(crate) fn stand(&self, source: &Source) -> Result<Known, Error> {
        let error = |error| Error::Read { path: source.path.clone(), source: error };
        let text = Some(Stamp::of(&source.file.metadata().map_err(error)?));
        Ok(Known { text, map: self.map_stamp()? })
    }

    fn stamps(&self) -> Result<Known, Error> {
        let access = &self.settings.access;
        let text =
            Stamp::at(access).map_err(|source| Error::Read { path: access.clone(), source })?;
        Ok(Known { text, map: self.map_stamp()? })
    }

    fn map_stamp(&self) -> Result<Option<Stamp>, Error> {
        if !self.settings.has_map() {
            return Ok(None);
        }
        let db = self.settings.db();
        Stamp::at(&db).map_err(|source| Error::OpenMap { path: db, source })
    }

    fn map_is(&self, source: &Source, now: &Known) -> Result<MapIs, Error> {
        if !self.settings.has_map() {
            return Ok(MapIs::Others);
        }
        if self.left.as_ref() == Some(now) {
            return Ok(MapIs::Fine);
        }
        if now.map.is_none() {
            return Ok(MapIs::Gone);
        }
        if self.lags(now) {
            return Ok(MapIs::Older);
        }
        let plan = Plan::of(&source.text, &[], &[])?;
        let dump = match makemap::dump(&self.settings, &self.settings.map) {
            Ok(Some(dump)) => dump,
            Ok(None) => return Ok(MapIs::Unreadable("makemap refuses it".to_owned())),
            Err(error) => return Ok(MapIs::Unreadable(error.to_string())),
        };
        let keys = makemap::wrong(&dump, &plan.expect);
        let fine = keys.is_empty() && !makemap::has_stray(&dump, &source.text);
        Ok(if fine { MapIs::Fine } else { MapIs::Wrong(keys) })
    }
}
