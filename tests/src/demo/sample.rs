//! The demo's log: `config/sample.log`, queue run by queue run.

use super::show;

/// Part of the program: the demo runs wherever the repository lies, and whoever may read it.
const TEXT: &str = include_str!("../../../config/sample.log");

/// What a failure's own line begins with.
const FAILURE: &str = "ruleset=tls_server, arg1=SOFTWARE, relay=";

/// The whole of it.
#[derive(Debug)]
pub(super) struct Sample {
    rounds: Vec<Round>,
}

/// The lines of one run of the queue: of one minute.
#[derive(Debug, Default)]
pub(super) struct Round {
    lines: Vec<String>,
}

impl Sample {
    pub(super) fn load() -> Self {
        let mut rounds: Vec<Round> = Vec::new();
        for line in TEXT.lines() {
            let minute = line.get(..16);
            let last = rounds.last_mut().filter(|round| {
                round.lines.last().is_some_and(|before| before.get(..16) == minute)
            });
            match last {
                Some(round) => round.lines.push(line.to_owned()),
                None => rounds.push(Round { lines: vec![line.to_owned()] }),
            }
        }
        Self { rounds }
    }

    pub(super) fn rounds(&self) -> &[Round] {
        &self.rounds
    }
}

impl Round {
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The time of day, as `10:30`.
    pub(super) fn minute(&self) -> &str {
        self.lines.first().and_then(|line| line.get(11..16)).unwrap_or_default()
    }

    /// The relays with which the handshake broke.
    pub(super) fn failures(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| {
            let text = text(line).strip_prefix(FAILURE)?;
            text.split(',').next()
        })
    }

    /// The three lines of the first failure, without their time.
    pub(super) fn first_failure(&self) -> Vec<String> {
        let process =
            |line: &String| line.split(": ").next().map(|head| head.get(32..).map(str::to_owned));
        let first = self.lines.iter().find(|line| text(line).starts_with(FAILURE));
        let lines = self.lines.iter().filter(|line| first.map(process) == Some(process(line)));
        lines.map(|line| show::without_stamp(line)).collect()
    }

    /// The lines of messages that went out because of an entry.
    pub(super) fn obeyed(&self) -> Vec<String> {
        let of_interest = |line: &&String| {
            text(line).starts_with("ruleset=try_tls") || line.contains("(2.0.0 accepted in clear)")
        };
        self.lines.iter().filter(of_interest).map(|line| show::without_stamp(line)).collect()
    }
}

/// What a process wrote, without what syslog put before it.
fn text(line: &str) -> &str {
    line.split_once("]: ").map_or(line, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_four_queue_runs() {
        let sample = Sample::load();
        let minutes: Vec<&str> = sample.rounds().iter().map(Round::minute).collect();
        assert_eq!(minutes, ["10:00", "10:30", "11:00", "11:30"]);
        let failures: Vec<usize> =
            sample.rounds().iter().map(|round| round.failures().count()).collect();
        assert_eq!(failures, [5, 5, 5, 1]);
        assert_eq!(sample.rounds()[0].first_failure().len(), 3);
        assert_eq!(sample.rounds()[3].obeyed().len(), 4);
    }

    /// Nothing in it belongs to anybody (RFC 2606, RFC 5737, RFC 3849).
    #[test]
    fn the_sample_names_nobody() {
        let sample = Sample::load();
        for line in sample.rounds().iter().flat_map(Round::lines) {
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-') {
                let word = word.trim_end_matches('.');
                let labels: Vec<&str> = word.split('.').collect();
                let is_name =
                    labels.len() > 2 && labels[0].contains(|c: char| c.is_ascii_lowercase());
                assert!(!is_name || word.ends_with("example.test"), "{word} in {line}");
                let is_address =
                    labels.len() == 4 && labels.iter().all(|l| l.parse::<u8>().is_ok());
                let own = word.starts_with("192.0.2.") || word == "127.0.0.1";
                assert!(!is_address || own, "{word} in {line}");
            }
        }
    }
}
