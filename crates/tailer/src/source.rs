//! What a scan is asked to read: files, patterns, standard input.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::file::FileId;
use crate::input::Input;
use crate::rotated::family;

/// One thing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, packed with gzip or not; also a pipe with a name, as a shell's `<(…)` makes.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Source {
    /// Opens it. See [`Input::open`].
    ///
    /// # Errors
    /// As [`Input::open`].
    pub fn open(&self) -> Result<Input, Error> {
        Input::open(self)
    }

    /// How large it is as stored, in bytes; `None` for a pipe.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::File(path) => fs::metadata(path).ok().filter(|m| m.is_file()).map(|m| m.len()),
            Self::Stdin => None,
        }
    }
}

/// The sources that `specs` name, in the order in which they are to be read.
///
/// A spec is a file, `-` for standard input, or a pattern (`*`, `?`, `[…]`, `**`) if no file has that very name.
/// Directories that a pattern matches are left out. A file that is named twice, by whatever names, is read once: its
/// lines would be counted twice.
///
/// Rotations of one log (`mail.log.2.gz`, `mail.log.1`, `mail.log`) are read oldest first, whatever their order in
/// `specs`: a shell sorts `mail.log*` by name. Different logs come in the order in which they are first named.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Denied`], [`Error::IsDirectory`], [`Error::Open`] for a file named outright;
/// [`Error::NoMatch`], [`Error::BadPattern`] for a pattern.
pub fn sources<I>(specs: I) -> Result<Vec<Source>, Error>
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut found: Vec<(Source, Option<FileId>)> = Vec::new();
    for spec in specs {
        for source in expand(spec.as_ref())? {
            if !found.iter().any(|(known, id)| same(known, *id, &source)) {
                found.push(source);
            }
        }
    }
    let mut families: HashMap<PathBuf, usize> = HashMap::new();
    let mut ordered = Vec::with_capacity(found.len());
    for (at, (source, _)) in found.into_iter().enumerate() {
        let key = match &source {
            Source::Stdin => (at, None),
            Source::File(path) => {
                let (base, age) = family(path);
                (*families.entry(base).or_insert(at), Some((age, path.clone())))
            }
        };
        ordered.push((key, source));
    }
    ordered.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(ordered.into_iter().map(|(_, source)| source).collect())
}

fn same(known: &Source, known_id: Option<FileId>, new: &(Source, Option<FileId>)) -> bool {
    *known == new.0 || (known_id.is_some() && known_id == new.1)
}

/// The files of one spec. Only regular files have an identity here: a pipe may be named twice to be read in turn.
fn expand(spec: &OsStr) -> Result<Vec<(Source, Option<FileId>)>, Error> {
    if spec == "-" {
        return Ok(vec![(Source::Stdin, None)]);
    }
    let path = Path::new(spec);
    let missing = match identify(path) {
        Ok(id) => return Ok(vec![(Source::File(path.to_owned()), id)]),
        Err(error @ Error::NotFound { .. }) => error,
        Err(error) => return Err(error),
    };
    match spec.to_str() {
        Some(pattern) if pattern.contains(['*', '?', '[']) => matches(pattern),
        _ => Err(missing),
    }
}

fn identify(path: &Path) -> Result<Option<FileId>, Error> {
    let metadata = fs::metadata(path).map_err(|e| Error::open(path, e))?;
    if metadata.is_dir() {
        return Err(Error::IsDirectory { path: path.to_owned() });
    }
    Ok(metadata.is_file().then(|| FileId::of(&metadata)))
}

fn matches(pattern: &str) -> Result<Vec<(Source, Option<FileId>)>, Error> {
    let paths = glob::glob(pattern)
        .map_err(|source| Error::BadPattern { pattern: pattern.to_owned(), source })?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|e| {
            let path = e.path().to_owned();
            Error::open(&path, io::Error::from(e))
        })?;
        match identify(&path) {
            Ok(id) => found.push((Source::File(path), id)),
            // A directory is no log; a file that went away in between (a rotation) was renamed or is old.
            Err(Error::IsDirectory { .. } | Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() {
        return Err(Error::NoMatch { pattern: pattern.to_owned() });
    }
    Ok(found)
}
