//! A fleet whose MTAs share one map, told as a story: what one of them sees alone turns TLS off for nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use std::num::NonZeroU16;

use policy::approval::Approval;
use policy::fleet;
use policy::halt::HaltKind;
use policy::input::{Input, Request};
use policy::rules::{Life, Rules};
use story::fleet::Fleet;
use story::{MX, Story};

const KEY: &str = "192.0.2.1";
const DAY: i64 = 24;

/// Three MTAs, and an entry that two of them wanted.
fn active() -> Fleet {
    let mut fleet = Fleet::new(3);
    fleet.fails(&[0, 1]).pass(15);
    assert_eq!(fleet.active(), [KEY; 3], "{:?}", fleet.mtas[0].story.told);
    fleet.forget();
    fleet
}

#[test]
fn two_of_three_agree_and_all_have_the_entry() {
    let mut fleet = Fleet::new(3);
    fleet.fails(&[0]);
    assert_eq!(fleet.says(0), "broken 192.0.2.1");
    assert_eq!(
        fleet.decided(0),
        [
            "held mx.example.org: 2 MTAs of the fleet must say that Try_TLS:192.0.2.1 is needed: none does so far"
        ]
    );
    fleet.fails(&[1]).pass(10);
    assert_eq!(fleet.entries(), KEY);
    assert_eq!(fleet.active(), [KEY; 3]);
    let wrote = fleet.written.concat();
    assert!(wrote.starts_with("mx1") || wrote.starts_with("mx2"), "{wrote}");
    assert_eq!(fleet.decided(2), ["joined mx.example.org: 192.0.2.1"]);
    assert!(fleet.directory.rows.is_empty(), "nothing is at issue any more");
}
