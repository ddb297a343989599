//! The admin's own entries in other maps, where sendmail's access map is a `sequence` and ours is one of it.
//!
//! The guards must see them: an entry of ours for a relay of which TLS is required (`TLS_Rcpt:`, `TLS_Srv:`) could make mail
//! bounce. Read are the texts beside maps of class `hash`, `btree` and `text`; a text that cannot be read is an error, as
//! for our own. What stands in other maps (`ldap`, a map whose text is elsewhere) cannot be seen; `check-config` says so.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use access::lookup::Entries;
use map_store::Error;
use sendmail::cf::MapLine;

/// As much is read of one text as of our own.
const MAX_BYTES: u64 = 256 << 20;

/// What changes when a file is written or replaced.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The texts of the other maps.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    texts: Vec<PathBuf>,
    seen: Option<Vec<Stamp>>,
}

/// The text of a map: the file of its name without `.db`. None if its class has none, or there is none.
pub(crate) fn text_of(line: &MapLine) -> Option<PathBuf> {
    let path = line.path.as_ref().filter(|_| matches!(&*line.class, "hash" | "btree" | "text"))?;
    let text = match (&*line.class, path.extension()) {
        ("text", _) => path.clone(),
        (_, Some(end)) if end == "db" => path.with_extension(""),
        _ => path.clone(),
    };
    text.is_file().then_some(text)
}

impl Beside {
    /// The texts of these maps.
    pub(crate) fn of<'a>(maps: impl IntoIterator<Item = &'a MapLine>) -> Self {
        Self { texts: maps.into_iter().filter_map(text_of).collect(), seen: None }
    }

    /// Whether one of them was written or replaced since it was last read.
    pub(crate) fn has_changed(&self) -> bool {
        self.seen.as_ref().is_none_or(|seen| *seen != self.stamps())
    }

    /// What they say now.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub(crate) fn read(&mut self) -> Result<Entries, Error> {
        let stamps = self.stamps();
        let mut all = Entries::default();
        for path in &self.texts {
            let text = read(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            all = all.before(Entries::parse(&text));
        }
        self.seen = Some(stamps);
        Ok(all)
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.texts.iter().map(|path| stamp(path)).collect()
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec()))
}

/// The text. It may have become a pipe by mistake, and must not be waited for.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(io::Error::other("it is no regular file, or larger than 256 MiB"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use sendmail::cf::Cf;

    use super::*;

    #[test]
    fn texts_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| {
            File::create(path(name)).unwrap().write_all(text.as_bytes()).unwrap();
        };
        write("access", "TLS_Rcpt:strict.example\tVERIFY\nTry_TLS:a.example\tYES\n");
        write("more", "Try_TLS:a.example\tNO\nTry_TLS:b.example\tNO\n");
        let here = folder.path().display();
        let cf = format!(
            "Ka hash -T<TMPF> {here}/access.db\nKb text {here}/more\nKc hash {here}/none\nKd ldap x\n\
             Kaccess sequence a b c d\n"
        );
        let cf = Cf::parse(Path::new("cf"), cf.as_bytes()).unwrap();
        let maps = cf.access.as_ref().unwrap().leaves();
        let mut beside = Beside::of(maps);
        assert_eq!(beside.texts, [path("access"), path("more")]);
        assert!(beside.has_changed());
        let entries = beside.read().unwrap();
        let value = |key: &str| {
            let hit = entries.try_tls(&key.parse().unwrap());
            hit.map(|hit| String::from_utf8_lossy(hit.value).into_owned())
        };
        // What the first map of a sequence has, the others are not asked for.
        assert_eq!(value("a.example").as_deref(), Some("YES"));
        assert_eq!(value("b.example").as_deref(), Some("NO"));
        assert!(entries.any_tls_rcpt().is_some());

        assert!(!beside.has_changed());
        write("more", "");
        assert!(beside.has_changed());
        fs::remove_file(path("more")).unwrap();
        fs::create_dir(path("more")).unwrap();
        let error = beside.read().unwrap_err().to_string();
        assert!(error.contains("/more: it is no regular file"), "{error}");
    }
}
