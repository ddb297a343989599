//! Replies: what a relay says itself of its broken STARTTLS counts, and how much.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use jiff::SignedDuration;
use maillog::event::What;
use maillog::relay::Relay;
use maillog::reply::Reply;
use policy::rules::Rules;
use story::{ASK, MX, Story};

fn reply(story: &mut Story, relay: &str, counts: bool) {
    let relay = Relay::parse(relay.as_bytes()).unwrap();
    let address = Some("192.0.2.1".parse().unwrap());
    let recipients = Default::default();
    story.event(What::Reply(Box::new(Reply {
        relay,
        address,
        by: "x".into(),
        counts,
        recipients,
    })));
}

/// A relay's own words lead to an entry as stuck attempts do, as weak evidence, and for that relay alone.
#[test]
fn replies_count_as_weak_evidence() {
    let mut story = Story::new(Rules::default());
    for _ in 0..3 {
        reply(&mut story, MX, true);
        reply(&mut story, "other.example.org", false);
        story.wait(60);
    }
    let told = std::mem::take(&mut story.told).join("\n");
    assert!(told.contains("candidate mx.example.org: 3 in 2h"), "{told}");
    assert!(told.contains("held mx.example.org: only 0 of 3 attempts are more"), "{told}");
    assert!(!told.contains("other"), "{told}");
    story.wait(240);
    reply(&mut story, MX, true);
    story.expect(&[ASK]).ptr("192.0.2.1", "");
    let told = story.told.join("\n");
    assert!(told.contains("active mx.example.org: 192.0.2.1"), "{told}");
}

/// A line that ends a stuck attempt and matches a pattern too is one attempt.
#[test]
fn a_reply_beside_an_attempt_counts_once() {
    let mut story = Story::new(Rules { min_span: SignedDuration::ZERO, ..Rules::default() });
    for _ in 0..2 {
        story.stuck(MX, "192.0.2.1");
        reply(&mut story, MX, true);
        story.wait(15);
    }
    story.expect(&[]);
}
