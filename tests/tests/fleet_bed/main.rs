//! A fleet with real parts: two slapd that replicate, and MTAs whose sendmail reads its access map from them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod directory_dies;
mod map;
mod stories;

use std::time::Duration;

use tests::bed::Bed;
use tests::peers::{Mode, Peer};

/// Three MTAs and two servers share the machine with all other tests.
const SOON: Duration = Duration::from_secs(90);

/// The peers of every MTA.
fn peers() -> [Peer; 2] {
    [Peer::new("broken", "127.0.0.11", Mode::Garbage), Peer::new("good", "127.0.0.12", Mode::Tls)]
}

/// What sendmail of this MTA finds for a key in its access map, by the sendmail.cf that the daemon runs with.
fn found(mta: &Bed, key: &str) -> Option<String> {
    let said = ask(mta, &format!("/map access {key}\n"));
    let head = format!("map_lookup: access ({key}) ");
    let line = said.lines().find_map(|line| line.trim_start_matches("> ").strip_prefix(&head));
    match line.unwrap_or_else(|| panic!("{key}: {said}")) {
        "no match (68)" => None,
        line => {
            let value = line.strip_prefix("returns ").and_then(|line| line.strip_suffix(" (0)"));
            Some(value.unwrap_or_else(|| panic!("{key}: {line}")).to_owned())
        }
    }
}

/// What `sendmail -bt` of this MTA says to these lines.
fn ask(mta: &Bed, lines: &str) -> String {
    mta.namespace().write("/tmp/asks", lines).unwrap();
    mta.sh("sendmail -bt </tmp/asks 2>&1").unwrap()
}
