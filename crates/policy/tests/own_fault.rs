//! "Is it us?" told as a story: many relays fail at once, everything is held, and what is made of it when that is over.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use jiff::SignedDuration;
use policy::handshake::Handshake;
use policy::input::{Input, Request};
use policy::rules::{Guards, Rules};
use policy::state::State;
use policy::successes::Success;
use story::Story;

/// Relays that fail, each three times over half an hour; the alarm is raised by the tenth.
const FAILING: usize = 12;

fn name(number: usize) -> String {
    format!("mx.r{number}.example.org")
}

fn rules() -> Rules {
    let guards = Guards { trusted_for: SignedDuration::ZERO, ..Guards::default() };
    Rules { guards, ..Rules::default() }
}

/// All of them have failed, and are held.
fn all_held() -> Story {
    let mut story = Story::new(rules());
    for _ in 0..3 {
        for number in 0..FAILING {
            story.stuck(&name(number), "192.0.2.1");
        }
        story.wait(15);
    }
    let told = std::mem::take(&mut story.told);
    let has = |word: &str| told.iter().filter(|told| told.starts_with(word)).count();
    assert_eq!((has("alarm: 10 of 10"), has("held "), has("edit")), (1, FAILING, 0), "{told:#?}");
    story
}

/// What failed meanwhile is counted anew: whose turn comes late gets no entry for what was not its fault.
#[test]
fn what_failed_meanwhile_is_no_evidence() {
    let mut story = all_held();
    for number in 0..FAILING {
        story.success(&format!("mx.good{number}.example.org"));
    }
    story.expect(&["alarm ended: OwnFault"]);
    story.input(Input::Tick).input(Input::Request(Request::Resume)).expect(&[]);
    // Who is really broken fails on, and is a candidate as any other.
    let broken = name(0);
    for _ in 0..3 {
        story.stuck(&broken, "192.0.2.1").wait(15);
    }
    story.expect(&[&format!("candidate {broken}: 3 in 30m"), "ask Ptr(192.0.2.1)"]);
}

/// After a restart those whose TLS worked within the hour are still among those that were tried.
#[test]
fn a_restart_remembers_who_worked() {
    let mut story = Story::new(rules());
    for number in 0..FAILING - 3 {
        story.stuck(&name(number), "192.0.2.1");
    }
    let second = u32::try_from(story.now().as_second()).unwrap();
    let worked = Success { second, handshake: Handshake::of("TLSv1.3", "OK") };
    let good = (0..40).map(|number| (format!("mx.good{number}.example.org").into(), worked));
    let saved = (0..FAILING - 3).map(|number| {
        let relay = name(number);
        (relay.as_str().into(), story.state.record(&relay).unwrap().save())
    });
    story.state = State::restored(rules(), saved.collect::<Vec<_>>(), good);
    story.wait(5);
    for number in 0..FAILING {
        story.stuck(&name(number), "192.0.2.1");
    }
    story.expect(&[]);
    assert!(story.state.record(&name(0)).is_some_and(|record| record.hold().is_none()));
}
