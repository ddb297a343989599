//! The live map, kept open by us so that sendmail notices when it is replaced, by whomever.
//!
//! An admin who runs `make -C /etc/mail` renames a new map over the old one, and a persistent queue runner (`-qp`)
//! goes on with the deleted file for ever (measured on sendmail 8.17.1). We hold the same file open: once the name
//! leads to another, we raise the mtime of the one we hold, and every sendmail that holds it opens the map anew. If
//! the map is replaced twice between two looks, the file in between is not held by us; those who hold it are found
//! through `/proc` elsewhere.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::{Error, mtime};

/// The live map, held open.
#[derive(Debug)]
pub struct LiveMap {
    db: PathBuf,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    file: File,
    id: (u64, u64),
}

/// What a look at the live map found.
#[derive(Debug)]
pub enum Tended {
    /// Nothing has happened.
    Same,
    /// The map was there before and is not now. Reported once.
    Gone,
    /// A map is there where was none.
    Appeared,
    /// Others replaced it, and every sendmail that holds the old one will open the new one at its next lookup.
    Replaced,
    /// Others replaced it, and the old one's mtime could not be raised: a sendmail that holds it goes on with it.
    ReplacedUnnoticed(io::Error),
}

impl LiveMap {
    /// Opens the map's file (with its `.db`); there need not be one.
    ///
    /// # Errors
    /// If it is there and cannot be opened.
    pub fn open(db: &Path) -> Result<Self, Error> {
        let held = Held::open(db).map_err(|source| Error::OpenMap { path: db.into(), source })?;
        Ok(Self { db: db.into(), held })
    }

    /// Looks whether others have replaced the map, and raises the old one's mtime if so. Costs one `stat`.
    ///
    /// # Errors
    /// If the new map is there and cannot be opened; the old one is still held then, and the next call tries again.
    pub fn tend(&mut self) -> Result<Tended, Error> {
        let there = match self.db.metadata() {
            Ok(metadata) => Some((metadata.dev(), metadata.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::OpenMap { path: self.db.clone(), source }),
        };
        match (&self.held, there) {
            (None, None) => Ok(Tended::Same),
            (Some(held), Some(id)) if held.id == id => Ok(Tended::Same),
            // A map that is removed and then made anew is a replaced one: go on holding the old.
            (Some(held), None) if held.gone() => Ok(Tended::Same),
            (Some(_), None) => {
                if let Some(held) = &mut self.held {
                    held.id = NOWHERE;
                }
                Ok(Tended::Gone)
            }
            (_, Some(_)) => self.renew(),
        }
    }

    /// Holds the map that is there now, and lets go of the one that was.
    fn renew(&mut self) -> Result<Tended, Error> {
        let new = Held::open(&self.db)
            .map_err(|source| Error::OpenMap { path: self.db.clone(), source })?;
        let Some(new) = new else { return Ok(Tended::Same) };
        match self.held.replace(new) {
            None => Ok(Tended::Appeared),
            Some(old) => match mtime::raise(&old.file) {
                Ok(()) => Ok(Tended::Replaced),
                Err(error) => Ok(Tended::ReplacedUnnoticed(error)),
            },
        }
    }
}

/// The number of no file.
const NOWHERE: (u64, u64) = (0, 0);

impl Held {
    fn open(db: &Path) -> io::Result<Option<Self>> {
        match open_plain(db) {
            Ok(file) => {
                let metadata = file.metadata()?;
                Ok(Some(Self { id: (metadata.dev(), metadata.ino()), file }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn gone(&self) -> bool {
        self.id == NOWHERE
    }
}

/// Opens a file to read; does not wait if it is a pipe.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}
