//! `[[log.pattern]]`: an operator's regular expressions, compiled when the config is read, so that an error names its line.

use maillog::pattern::Pattern;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// Samples of one pattern at most.
const MOST_SAMPLES: usize = 20;

/// One pattern, as it was given and as it is used.
#[derive(Clone, Debug, Serialize)]
pub struct LogPattern {
    /// What it is called in the log, in `match` and in reports.
    pub name: String,
    /// With the named group `relay`, and `address` if that is wanted.
    pub regex: String,
    /// Whether a match counts towards an entry, or is only told.
    pub counts: bool,
    /// Lines of the log that it must match.
    pub samples: Vec<String>,
    /// What it is compiled to.
    #[serde(skip)]
    pub compiled: Pattern,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    regex: String,
    #[serde(default = "yes")]
    counts: bool,
    #[serde(default)]
    samples: Vec<String>,
}

fn yes() -> bool {
    true
}

impl<'de> Deserialize<'de> for LogPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Given { name, regex, counts, samples } = Given::deserialize(deserializer)?;
        if samples.len() > MOST_SAMPLES {
            return Err(Error::custom(format!(
                "pattern {name:?}: more than {MOST_SAMPLES} samples"
            )));
        }
        let compiled = Pattern::new(&name, &regex, counts)
            .map_err(|bad| Error::custom(format!("pattern {name:?}: {bad}")))?;
        Ok(Self { name, regex, counts, samples, compiled })
    }
}
