//! Where the access file and the map are, and how the one is made from the other.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// What a [`crate::FileStore`] needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The access file. A symbolic link is followed, and its target replaced.
    pub access: PathBuf,
    /// The map as sendmail.cf names it: without `.db`.
    pub map: PathBuf,
    /// The map's class in sendmail.cf.
    pub class: Class,
    /// How the map is rebuilt.
    pub rebuild: Rebuild,
    /// makemap: a path, or a name to be found in `PATH`.
    pub makemap: PathBuf,
    /// The sendmail.cf that makemap reads `TrustedUser` from when it runs as root; it must be there (else it ends with
    /// 66). `None`: it reads none, and then refuses even to read a map that belongs neither to root nor to its group
    /// (73; Debian's belongs to the TrustedUser smmta), which costs a rebuild where a look would have done. Measured on
    /// sendmail 8.17.1.
    pub cf: Option<PathBuf>,
    /// How long a rebuild may take; another trytlsd's rebuild is waited for that long, at most 5 s.
    pub timeout: Duration,
}

impl Settings {
    /// The file of the map.
    pub fn db(&self) -> PathBuf {
        with_db(&self.map)
    }

    /// Whether what sendmail looks into says what the text says as soon as we have written: not where others rebuild the
    /// map, later.
    pub fn is_built(&self) -> bool {
        self.class == Class::Text || self.rebuild != Rebuild::None
    }

    /// Whether the map is made by anyone at all.
    pub(crate) fn has_map(&self) -> bool {
        self.class != Class::Text && self.rebuild != Rebuild::None
    }
}

/// The name of the file that makemap makes for a hash or btree map.
pub(crate) fn with_db(map: &Path) -> PathBuf {
    let mut db = map.as_os_str().to_owned();
    db.push(".db");
    db.into()
}

/// The class of a map that can be kept. Debian's makemap builds no other (cdb, dbm and lmdb are not compiled in).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `hash`, sendmail's default.
    Hash,
    /// `btree`.
    Btree,
    /// `text`: sendmail reads the access file itself; there is nothing to rebuild.
    Text,
}

impl Class {
    /// As sendmail.cf and makemap name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Btree => "btree",
            Self::Text => "text",
        }
    }
}

/// A class of map that cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("map class {class:?} is not supported; supported are hash, btree and text")]
pub struct UnknownClass {
    /// The class.
    pub class: String,
}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        let classes = [Self::Hash, Self::Btree, Self::Text];
        let found = classes.into_iter().find(|class| class.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownClass { class: text.to_owned() })
    }
}

/// How the map is rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuild {
    /// A new map is built beside the live one, checked, and renamed over it. No reader ever waits or sees half of it.
    Replace,
    /// New entries are added in place with `makemap -o`, which takes no time for a map of any size (to read it back and
    /// to write the text takes 2.5 s for a million entries). Only a rebuild can take an entry away, so a removal goes as
    /// with [`Rebuild::Replace`]. A makemap that is killed just then may leave the live map damaged.
    Append,
    /// The operator's own program and its arguments, for instance `make -C /etc/mail`. No shell.
    Command(Vec<String>),
    /// Nothing is rebuilt: somebody else does, or sendmail reads the text itself.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        assert_eq!("hash".parse(), Ok(Class::Hash));
        assert_eq!("Btree".parse(), Ok(Class::Btree));
        let error = "cdb".parse::<Class>().unwrap_err().to_string();
        assert_eq!(error, "map class \"cdb\" is not supported; supported are hash, btree and text");
    }
}
