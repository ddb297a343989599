//! A real browser without a screen: what it makes of a page, what it complains of, and how it looks.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::need::{repository, skip};

/// The browser, with a profile of its own that is gone when dropped.
#[derive(Debug)]
pub struct Chromium {
    program: PathBuf,
    profile: TempDir,
}

/// Which colours a reader prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark letters on light ground.
    Light,
    /// Light letters on dark ground.
    Dark,
}

/// What became of a page.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The document as it stands after loading.
    pub dom: String,
    /// What the browser said on its console: errors, and what a content security policy has stopped.
    pub console: Vec<String>,
}

impl Chromium {
    /// The browser that `tests/bed/chromium` provides (`$TRYTLSD_CHROMIUM`); none, and said by name, where there is none.
    #[must_use]
    pub fn or_skip(name: &str) -> Option<Self> {
        let Some(program) = env::var_os("TRYTLSD_CHROMIUM") else {
            skip(name, "no Chromium (tests/bed/with chromium)");
            return None;
        };
        let profile = match tempfile::tempdir() {
            Ok(profile) => profile,
            Err(error) => {
                skip(name, &format!("no folder for its profile: {error}"));
                return None;
            }
        };
        Some(Self { program: program.into(), profile })
    }

    /// Loads the page.
    pub fn load(&self, url: &str) -> Result<Seen> {
        let output = self.run(&["--dump-dom", url])?;
        let said = String::from_utf8_lossy(&output.stderr);
        let console = said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned);
        Ok(Seen {
            dom: String::from_utf8_lossy(&output.stdout).into_owned(),
            console: console.collect(),
        })
    }

    /// Takes a picture of the page into target/pictures/NAME.png.
    pub fn picture(
        &self,
        url: &str,
        name: &str,
        (width, height): (u32, u32),
        scheme: Scheme,
    ) -> Result<PathBuf> {
        let folder = repository().join("target/pictures");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}.png"));
        let colours = if scheme == Scheme::Dark { 0 } else { 1 };
        self.run(&[
            &format!("--screenshot={}", file.display()),
            &format!("--window-size={width},{height}"),
            "--hide-scrollbars",
            &format!("--blink-settings=preferredColorScheme={colours}"),
            url,
        ])?;
        ensure!(is_picture(&file), "no picture at {}", file.display());
        Ok(file)
    }

    #[expect(clippy::disallowed_methods, reason = "a test runs the program as a user does")]
    fn run(&self, args: &[&str]) -> Result<Output> {
        let output = Command::new(&self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"])
            .args(["--enable-logging=stderr", "--log-level=0"])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("run {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "Chromium ended with {}: {said}", output.status);
        Ok(output)
    }
}

fn is_picture(file: &Path) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000)
}
