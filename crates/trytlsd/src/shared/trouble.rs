//! What goes wrong with the directory: looking, and writing. Each reason is said once; the heart is told when one of the two
//! begins to fail and when neither does any more.

use std::time::Instant;

use directory::{Error, Kind};
use tracing::{info, warn};

use crate::output::Safe;

/// What goes wrong.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    looking: Option<Failure>,
    writing: Option<Failure>,
    /// Whether a look has succeeded.
    has_looked: bool,
    /// Whether the heart was told that there is some.
    told: bool,
    /// The directory is out of reach: nothing is tried before then.
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct Failure {
    kind: Kind,
    words: String,
}

impl Trouble {
    /// A look failed, or succeeded. What the heart is to hear, if it is news.
    pub(super) fn looked(&mut self, error: Option<&Error>) -> Option<Option<String>> {
        note(&mut self.looking, error);
        match error {
            Some(error) => self.is_away(error),
            None => {
                self.not_before = None;
                if !std::mem::replace(&mut self.has_looked, true) {
                    info!("the directory answers");
                }
            }
        }
        self.news()
    }

    /// A change failed, or succeeded. What the heart is to hear, if it is news.
    pub(super) fn wrote(&mut self, error: Option<&Error>) -> Option<Option<String>> {
        note(&mut self.writing, error);
        if let Some(error) = error {
            self.is_away(error);
        }
        self.news()
    }

    /// Why nothing is to be tried now.
    pub(super) fn away(&self) -> Option<&str> {
        let until = self.not_before?;
        let failure = self.looking.as_ref().or(self.writing.as_ref())?;
        (Instant::now() < until).then_some(&*failure.words)
    }

    fn is_away(&mut self, error: &Error) {
        if matches!(error.kind, Kind::Unreachable | Kind::Timeout) {
            self.not_before = error.again.map(|again| Instant::now() + again);
        }
    }

    fn news(&mut self) -> Option<Option<String>> {
        let failure = self.looking.as_ref().or(self.writing.as_ref());
        let is = failure.is_some();
        let first = self.has_looked || is;
        (std::mem::replace(&mut self.told, is) != is && first)
            .then(|| failure.map(|failure| failure.words.clone()))
    }
}

/// Says it, unless the same kind of thing went wrong before.
fn note(known: &mut Option<Failure>, error: Option<&Error>) {
    let failure = error.map(|error| Failure { kind: error.kind, words: error.to_string() });
    let same = known.as_ref().map(|known| known.kind) == failure.as_ref().map(|new| new.kind);
    match &failure {
        Some(failure) if !same => warn!("{}; it is tried again", Safe(&failure.words)),
        None if known.is_some() => info!("the directory does as it should again"),
        _ => {}
    }
    *known = failure;
}
