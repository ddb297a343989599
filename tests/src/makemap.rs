//! The makemap that works on this host: for the demo, the soak and the tests.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::namespace::command;
use crate::need;

/// A makemap that works.
#[derive(Debug)]
pub struct Makemap {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is the host's own.
    pub is_own: bool,
}

impl Makemap {
    /// `$TRYTLSD_MAKEMAP`, the host's own, or Debian's, unpacked below target/.
    #[must_use]
    pub fn find() -> Option<Self> {
        let given = std::env::var_os("TRYTLSD_MAKEMAP").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        let own = folders.map(|folder: PathBuf| folder.join("makemap")).find(|path| works(path));
        let is_own = |path: &Path| own.as_deref() == Some(path);
        let found = given.filter(|path| works(path)).or_else(|| own.clone()).or_else(unpacked)?;
        Some(Self { is_own: is_own(&found), path: found })
    }

    /// `makemap hash access < access` in the folder.
    ///
    /// # Errors
    /// Where it fails.
    pub fn build(&self, folder: &Path) -> Result<()> {
        let access = File::open(folder.join("access")).context("open the access file")?;
        self.run(folder, &["hash", "access"], Stdio::from(access)).map(drop)
    }

    /// The lines of `makemap -u hash access` in the folder, sorted.
    ///
    /// # Errors
    /// Where it fails.
    pub fn dump(&self, folder: &Path) -> Result<Vec<String>> {
        let text = self.run(folder, &["-u", "hash", "access"], Stdio::null())?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        Ok(lines)
    }

    fn run(&self, folder: &Path, args: &[&str], stdin: Stdio) -> Result<String> {
        let output = command(self.path.to_str().context("the path of makemap is no UTF-8")?)
            .args(args)
            .current_dir(folder)
            .stdin(stdin)
            .output()
            .with_context(|| format!("run {}", self.path.display()))?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "makemap {args:?}: {}: {error}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn unpacked() -> Option<PathBuf> {
    let made = need::repository().join("target/makemap/makemap");
    if works(&made) {
        return Some(made);
    }
    let script = need::repository().join("tests/bed/makemap");
    let output = command(script.to_str()?).stdin(Stdio::null()).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (output.status.success() && works(&path)).then_some(path)
}

/// Whether it runs and knows hash maps.
fn works(makemap: &Path) -> bool {
    let Some(name) = makemap.to_str().filter(|_| makemap.is_file()) else { return false };
    let output = command(name).arg("-l").stdin(Stdio::null()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("hash"))
}
