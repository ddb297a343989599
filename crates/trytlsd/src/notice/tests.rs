//! When notices are due.

use std::path::Path;

use super::*;

const NOON: i64 = 1_800_014_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOON + second).unwrap()
}

fn notices(notice: &str, told: Told) -> Notices {
    let toml = format!("[notice]\nmail_to = \"root\"\n{notice}");
    let config = Config::of_text(Path::new("/x.toml"), &toml).unwrap();
    Notices::new(&config, told, true)
}

#[test]
fn the_first_wait_for_others_and_the_next_for_an_hour() {
    let mut notices = notices("digest = false", Told::default());
    assert_eq!((notices.wait(at(0)), notices.due(at(0))), (None, None));
    notices.may_be_news(at(0));
    notices.may_be_news(at(60));
    assert_eq!(notices.wait(at(60)), Some(Duration::from_secs(60)));
    assert_eq!((notices.due(at(119)), notices.due(at(120))), (None, Some(Kind::News)));
    notices.told.at = Some(at(-1200));
    assert_eq!(notices.wait(at(120)), Some(Duration::from_secs(2280)));
    assert_eq!((notices.due(at(2399)), notices.due(at(2400))), (None, Some(Kind::News)));
    // Clocks that were set back keep nobody waiting.
    notices.told.at = Some(at(1_000_000));
    assert_eq!(notices.due(at(200)), Some(Kind::News));
}

#[test]
fn what_fails_is_tried_ever_more_seldom() {
    let mut notices = notices("digest = false", Told::default());
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        notices.failed("no", now);
        let wait = notices.wait(now).unwrap().max(Duration::from_secs(60));
        waits.push(wait.as_secs() / 60);
        now += SignedDuration::try_from(wait).unwrap();
        assert_eq!(notices.due(now), Some(Kind::News));
        notices.news = None;
    }
    // The first is no sooner than others may come with it.
    assert_eq!(waits, [2, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn a_summary_is_due_once_a_morning() {
    let morning = morning(at(0));
    assert!(morning <= at(0) && at(0).duration_since(morning) < SignedDuration::from_hours(25));
    let due = |digest: &str, last: Timestamp, now: Timestamp| {
        notices(digest, Told { digest: Some(last), ..Told::default() }).due(now)
    };
    let second = SignedDuration::from_secs(1);
    let (before, next) = (morning - second, morning + SignedDuration::from_hours(24));
    assert_eq!(due("", before, morning), Some(Kind::Digest));
    assert_eq!(due("", morning, next - second), None);
    assert_eq!(due("", morning, next), Some(Kind::Digest));
    assert_eq!(due("digest = false", before, morning), None);
}

#[test]
fn without_anybody_to_tell_nothing_is_due() {
    let config = Config::default();
    let mut notices = Notices::new(&config, Told::default(), true);
    notices.may_be_news(at(0));
    assert_eq!(notices.wait(at(500)), None);
    assert!(!notices.look(at(500)));
}
