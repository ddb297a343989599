//! Every guard: it speaks when it should, is silent when it should, and holds when its fact cannot be had.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use jiff::Timestamp;
use maillog::event::{Attempt, Cause, CauseKind, Fault, What};
use maillog::relay::Relay;
use policy::alarm::Outside;
use policy::approval::Approval;
use policy::fact::{Answer, Fact, Ptr, PtrName, Sts, StsMode, Tlsa};
use policy::host::Host;
use policy::input::{Input, Request};
use policy::never::NeverList;
use policy::rules::{Guards, Rules};
use story::{MX, Story, admin};

const DAY: i64 = 24 * 60;

/// Lets mail be stuck for the relay as often as it takes; the reason of the hold, or "active".
fn outcome_for(relay: &str, set_up: impl FnOnce(&mut Story)) -> String {
    let mut story = Story::new(Rules::default());
    set_up(&mut story);
    for _ in 0..3 {
        story.stuck(relay, "192.0.2.1").wait(15);
    }
    story.ptr("192.0.2.1", "");
    last(&story, relay)
}

/// What was last said of the relay: the reason of a hold, or "active".
fn last(story: &Story, relay: &str) -> String {
    let (held, active) = (format!("held {relay}: "), format!("active {relay}: "));
    let word = |line: &String| {
        let why = line.strip_prefix(&held).map(str::to_owned);
        why.or_else(|| line.starts_with(&active).then(|| "active".to_owned()))
    };
    story.told.iter().rev().find_map(word).unwrap_or_else(|| format!("neither: {:?}", story.told))
}

fn check(set_up: impl FnOnce(&mut Story), expect: &str) {
    assert_eq!(outcome_for(MX, set_up), expect);
}

fn never(items: &[&str]) -> NeverList {
    NeverList(items.iter().map(|item| item.parse().unwrap()).collect())
}

#[test]
fn nothing_speaks_and_the_entry_is_made() {
    check(|_| {}, "active");
}

#[test]
fn the_never_list() {
    let check = |items: &[&str], expect: &str| {
        check(
            |story| story.state.set_rules(Rules { never: never(items), ..Rules::default() }),
            expect,
        );
    };
    check(&[], "active");
    check(&["mx.example.org"], "the never-list has mx.example.org");
    check(&["example.org"], "the never-list has example.org");
    check(&[".example.org"], "the never-list has .example.org");
    check(&[".mx.example.org", "ample.org", "192.0.2.2", "192.0.3.0/24"], "active");
    check(&["192.0.2.0/24"], "the never-list has 192.0.2.0/24");
}

#[test]
fn loopback_is_what_the_never_list_says() {
    let check = |items: &[&str], expect: &str| {
        let mut story = Story::new(Rules::default());
        story.state.set_rules(Rules { never: never(items), ..Rules::default() });
        for _ in 0..3 {
            story.stuck(MX, "127.0.0.1").wait(15);
        }
        story.ptr("127.0.0.1", "");
        assert_eq!(last(&story, MX), expect);
    };
    check(&["127.0.0.0/8"], "the never-list has 127.0.0.0/8");
    check(&[], "active");
}

#[test]
fn this_host_itself() {
    let check = |own: Answer<&[&str]>, relay: &str, expect: &str| {
        let own = match own {
            Answer::Known(names) => {
                Answer::Known(names.iter().map(|name| (*name).into()).collect())
            }
            Answer::Unknown(why) => Answer::Unknown(why),
            Answer::NotAsked => Answer::NotAsked,
        };
        let host = Host { own, ..Host::NOT_ASKED };
        assert_eq!(outcome_for(relay, |story| story.state.set_host(host)), expect);
    };
    let names: &[&str] = &["mx.example.org", "localhost"];
    check(Answer::Known(names), MX, "mx.example.org is this host's own name");
    check(Answer::Known(names), "[mx.example.org]", "[mx.example.org] is this host's own name");
    check(Answer::Known(names), "mx2.example.org", "active");
    let why = "this host's own names are unknown: no sendmail.cf";
    check(Answer::Unknown("no sendmail.cf".into()), MX, why);
}

#[test]
fn this_host_by_its_address() {
    let ptr = |name: &'static str, confirmed: bool| {
        let mut story = Story::new(Rules::default());
        let own = Answer::Known(["mx1.own.example".into()].into());
        story.state.set_host(Host { own, ..Host::NOT_ASKED });
        for _ in 0..3 {
            story.stuck(MX, "192.0.2.1").wait(15);
        }
        let names = vec![PtrName { name: name.into(), confirmed }];
        story.input(Input::Fact(Fact::Ptr(
            "192.0.2.1".parse().unwrap(),
            Answer::Known(Ptr { names }),
        )));
        last(&story, MX)
    };
    assert_eq!(ptr("mx1.own.example", true), "mx1.own.example is this host's own name");
    assert_eq!(ptr("mx1.own.example", false), "active");
    assert_eq!(ptr("mx2.own.example", true), "active");
}

#[test]
fn what_the_access_file_says() {
    let file = |text: &'static str, to: &'static [&'static str], expect: &str| {
        let outcome = outcome_for(MX, |story| {
            story.to = to.to_vec();
            story.state.set_admin(Answer::Known(admin(text)));
        });
        assert_eq!(outcome, expect, "{text} {to:?}");
    };
    let quoted = |text: &str| format!("line 1 of the access file says {text:?}");
    let own = |text: &'static str| {
        file(text, &[], &format!("the admin's own entry covers it: {}", quoted(text.trim_end())));
    };
    own("Try_TLS:mx.example.org YES\n");
    own("try_tls:MX.EXAMPLE.ORG\tNO # for now\n");
    own("Try_TLS:example.org YES\n");
    own("Try_TLS:192.0.2 YES\n");
    own("Try_TLS: YES\n");
    own("Try_TLS:.example.org YES\n");
    file(
        "Try_TLS:mx2.example.org YES\nTry_TLS:ample.org YES\nTry_TLS:192.0.21 YES\n",
        &[],
        "active",
    );

    let srv = |text: &'static str| {
        file(text, &[], &format!("TLS is required of it: {}", quoted(text.trim_end())));
    };
    srv("TLS_Srv:mx.example.org ENCR:112\n");
    srv("TLS_Srv:org VERIFY\n");
    srv("TLS_Srv: ENCR\n");
    file("TLS_Srv:mx2.example.org VERIFY\nTLS_Clt:mx.example.org VERIFY\n", &[], "active");

    let to: &[&str] = &["a@other.example", "u@sub.rcpt.example"];
    let bounce = |text: &'static str| {
        let line = quoted(text.trim_end());
        file(text, to, &format!("mail to sub.rcpt.example would bounce: {line}"));
    };
    bounce("TLS_Rcpt:u@sub.rcpt.example ENCR:112\n");
    bounce("TLS_Rcpt:Somebody.Else@sub.rcpt.example VERIFY\n");
    bounce("TLS_Rcpt:sub.rcpt.example ENCR:112\n");
    bounce("TLS_Rcpt:rcpt.example ENCR:112\n");
    bounce("TLS_Rcpt:.rcpt.example ENCR:112\n");
    let line = quoted("TLS_Rcpt: VERIFY");
    file("TLS_Rcpt: VERIFY\n", to, &format!("mail to other.example would bounce: {line}"));
    file("TLS_Rcpt: VERIFY\n", &[], &format!("mail to a recipient would bounce: {line}"));
    file("TLS_Rcpt:rcpt2.example ENCR\nTLS_Rcpt:x.sub.rcpt.example ENCR\n", to, "active");

    check(
        |story| story.state.set_admin(Answer::Unknown("permission denied".into())),
        "the access file is unknown: permission denied",
    );
}

#[test]
fn a_recipient_with_a_requirement_that_comes_later_counts() {
    let mut story = Story::new(Rules::default());
    story.state.set_admin(Answer::Known(admin("TLS_Rcpt:strict.example ENCR\n")));
    story.to = vec!["u@easy.example"];
    story.stuck(MX, "192.0.2.1").wait(15).stuck(MX, "192.0.2.1").wait(15);
    story.to = vec!["u@strict.example"];
    story.waiting(MX).stuck(MX, "192.0.2.1").ptr("192.0.2.1", "");
    assert!(last(&story, MX).starts_with("mail to strict.example would bounce"), "{story}");
}

#[test]
fn dane() {
    let tlsa = |answer: Answer<Tlsa>, expect: &str| check(|story| story.tlsa = answer, expect);
    tlsa(Answer::Known(Tlsa::Secure), "DNSSEC proves TLSA records for mx.example.org (DANE)");
    tlsa(Answer::Known(Tlsa::Insecure), "active");
    tlsa(Answer::Known(Tlsa::Absent), "active");
    tlsa(Answer::Unknown("SERVFAIL".into()), "whether it uses DANE is unknown: SERVFAIL");
    // An address literal has none, whatever is said.
    let outcome = outcome_for("[192.0.2.1]", |story| story.tlsa = Answer::Known(Tlsa::Secure));
    assert_eq!(outcome, "active");
}

#[test]
fn sendmails_own_warning_of_dane_holds_for_a_month() {
    let warn = |story: &mut Story| {
        let relay = Relay::parse(MX.as_bytes()).unwrap();
        story.event(What::DaneWarning(relay));
    };
    let outcome = outcome_for(MX, warn);
    assert!(outcome.starts_with("sendmail warned at 2027-01-15T08:00:00Z"), "{outcome}");
    check(
        |story| {
            warn(story);
            story.wait(31 * DAY);
        },
        "active",
    );
}

fn sts(mode: StsMode) -> Answer<Option<Sts>> {
    let fetched = Timestamp::from_second(1_800_000_000).unwrap();
    let until = Timestamp::from_second(1_900_000_000).unwrap();
    Answer::Known(Some(Sts { mode, id: "1".into(), fetched, until }))
}

#[test]
fn mta_sts() {
    let policy = |answer: Answer<Option<Sts>>, expect: &str| {
        check(
            |story| {
                story.to = vec!["u@easy.example", "u@strict.example"];
                story.sts.insert("strict.example", answer);
            },
            expect,
        );
    };
    policy(Answer::Known(None), "active");
    policy(sts(StsMode::Enforce), "strict.example enforces MTA-STS");
    policy(sts(StsMode::Testing), "active");
    policy(sts(StsMode::None), "active");
    policy(
        Answer::Unknown("timed out".into()),
        "whether strict.example enforces MTA-STS is unknown: timed out",
    );
}

#[test]
fn a_domain_that_nobody_can_be_asked_about() {
    let to = |to: &'static str| outcome_for(MX, |story| story.to = vec![to]);
    const UNKNOWN: &str =
        "it has recipients whose domains are not known; whether all do without MTA-STS is unknown";
    for odd in [
        "u@b\u{fc}cher.example",
        "u%other.example",
        "u%other.example@relay.example",
        "other.example!u",
        "u@strict.example (comment)",
    ] {
        assert_eq!(to(odd), UNKNOWN, "{odd}");
    }
    assert_eq!(to("u@[192.0.2.7]"), "active");
    assert_eq!(to("postmaster"), "active");
    assert_eq!(to("<@relay.example:u@other.example>"), UNKNOWN); // its brackets are not cut
    assert_eq!(to("@relay.example:u@other.example"), "active");
}

#[test]
fn more_domains_than_are_remembered_are_unknown() {
    const MANY: usize = 65;
    let names: Vec<&'static str> =
        (0..MANY).map(|n| &*Box::leak(format!("u@d{n}.example").into_boxed_str())).collect();
    let many = |text: &'static str| {
        let names = names.clone();
        outcome_for(MX, move |story| {
            story.to = names;
            story.state.set_admin(Answer::Known(admin(text)));
        })
    };
    assert!(many("").starts_with("it has recipients whose domains are not known; whether"));
    let why = many("TLS_Rcpt:nowhere.example ENCR\n");
    assert!(why.starts_with("it has recipients whose domains are not known, and"), "{why}");
}

#[test]
fn worked_lately() {
    let after = |days: i64, expect: &str| {
        check(
            |story| {
                story.success(MX).wait(days * DAY);
            },
            expect,
        );
    };
    after(31, "active");
    after(
        1,
        "TLS with it worked at 2027-01-15T08:00:00Z (TLSv1.3, verify=OK); it must fail for 72h without a success, so far 30m",
    );
    let mut story = Story::new(Rules::default());
    story.success(MX).wait(60);
    for _ in 0..3 * 24 * 2 {
        story.stuck(MX, "192.0.2.1").wait(30);
    }
    assert!(last(&story, MX).starts_with("TLS with it worked"), "{story}");
    story.stuck(MX, "192.0.2.1").ptr("192.0.2.1", "");
    assert_eq!(last(&story, MX), "active");

    // A success in between: from the beginning.
    let mut story = Story::new(Rules::default());
    story.success(MX).wait(60);
    for n in 0..4 * 24 * 2 {
        story.stuck(MX, "192.0.2.1").wait(30);
        if n == 2 * 24 * 2 {
            story.success(MX).wait(1);
        }
    }
    assert!(last(&story, MX).starts_with("TLS with it worked"), "{story}");
}

#[test]
fn weak_evidence() {
    let run = |spacing: i64, count: usize, strong: bool| {
        let mut story = Story::new(Rules::default());
        story.cause = CauseKind::Network;
        for n in 0..count {
            if strong && n + 3 >= count {
                story.cause = CauseKind::Handshake;
            }
            story.stuck(MX, "192.0.2.1").wait(spacing);
        }
        story.ptr("192.0.2.1", "");
        last(&story, MX)
    };
    assert_eq!(
        run(15, 3, false),
        "only 0 of 3 attempts are more than resets and time-outs; those must span 6h, so far 30m"
    );
    assert_eq!(run(60, 7, false), "active");
    assert_eq!(run(15, 6, true), "active");
}

/// An attempt that failed without mail being stuck, in words of OpenSSL.
fn attempt(story: &mut Story, relay: &str, fault: Fault, reason: &'static str) {
    let cause = Some(Cause { kind: CauseKind::Handshake, reason: reason.into() });
    let relay = Relay::parse(relay.as_bytes()).unwrap();
    story.event(What::Attempt(Attempt { relay, fault, code: 454, cause }));
}

#[test]
fn is_it_us_a_burst() {
    let mut story = Story::new(Rules::default());
    for n in 0..50 {
        story.success(&format!("mx.d{n}.example"));
    }
    story.wait(40 * DAY).told.clear();
    for n in 0..50 {
        attempt(&mut story, &format!("mx.d{n}.example"), Fault::Software, "certificate expired");
    }
    let alarms: Vec<&String> = story.told.iter().filter(|line| line.starts_with("alarm")).collect();
    assert_eq!(alarms.len(), 1, "{story}");
    assert!(alarms[0].contains("this host's own certificate"), "{}", alarms[0]);
    for _ in 0..3 {
        story.stuck(MX, "192.0.2.1").wait(15);
    }
    story.ptr("192.0.2.1", "");
    assert!(last(&story, MX).starts_with("the fault seems to be ours: "), "{story}");

    // Mended: they work again, and the alarm ends by itself.
    story.wait(5).told.clear();
    for n in 0..50 {
        story.success(&format!("mx.d{n}.example"));
    }
    story.input(Input::Tick);
    assert_eq!(
        story.told.iter().filter(|line| *line == "alarm ended: OwnFault").count(),
        1,
        "{story}"
    );
    // What failed meanwhile is counted anew.
    assert!(!last(&story, MX).contains("active"), "{story}");
    for _ in 0..3 {
        story.stuck(MX, "192.0.2.1").wait(15);
    }
    story.ptr("192.0.2.1", "");
    assert_eq!(last(&story, MX), "active", "{story}");
}

#[test]
fn is_it_us_a_share() {
    let share = |working: usize| {
        let mut story = Story::new(Rules::default());
        for n in 0..working {
            story.success(&format!("good{n}.example"));
        }
        for n in 0..12 {
            attempt(&mut story, &format!("bad{n}.example"), Fault::Software, "it broke");
        }
        story.told.iter().any(|line| line.starts_with("alarm: "))
    };
    assert!(share(0));
    assert!(share(11));
    assert!(!share(13));
}

#[test]
fn is_it_us_a_config_error() {
    check(
        |story| attempt(story, "mx2.example.org", Fault::Config, ""),
        "the fault seems to be ours: sendmail could not start TLS with 1 relay (CONFIG); likely cause: this host's own TLS set-up (certificate, key, CipherList, or an entry TLS_Clt_features)",
    );
    // A relay or two that have been broken for long are nobody's fault but theirs.
    check(|story| attempt(story, "mx2.example.org", Fault::Software, "it broke"), "active");
}

#[test]
fn limits() {
    let limited = |guards: Guards| {
        let mut story = Story::new(Rules { guards, ..Rules::default() });
        for relay in ["a.example.org", "b.example.org", "c.example.org"] {
            for _ in 0..3 {
                story.stuck(relay, "").wait(15);
            }
        }
        let alarms = story.told.iter().filter(|line| line.starts_with("alarm: ")).count();
        (last(&story, "b.example.org"), last(&story, "c.example.org"), alarms)
    };
    let guards = Guards::default();
    assert_eq!(limited(guards.clone()), ("active".into(), "active".into(), 0));
    let (b, c, alarms) = limited(Guards { max_entries: 1, ..guards.clone() });
    assert_eq!((&*b, alarms), ("1 entries are in force, and there may be no more than 1", 1));
    assert_eq!(c, b);
    let (b, _, alarms) = limited(Guards { max_per_hour: 1, ..guards });
    assert_eq!(
        (&*b, alarms),
        ("1 entries were made within an hour, and there may be no more than 1", 1)
    );
}

#[test]
fn what_fails_outside_is_one_alarm_until_it_works() {
    let mut story = Story::new(Rules::default());
    let mut tell = |outside, why: Option<&str>| {
        story.input(Input::Trouble(outside, why.map(Into::into)));
    };
    tell(Outside::Map, None); // It worked all the time: no news.
    tell(Outside::Map, Some("no makemap"));
    tell(Outside::Log, Some(&"x".repeat(1000)));
    tell(Outside::Map, Some("no room"));
    tell(Outside::Map, None);
    let long = format!("alarm: {}", "x".repeat(300));
    story.expect(&["alarm: no makemap", &long, "alarm ended: Map"]);
}

#[test]
fn an_hour_later_there_is_room_again() {
    let guards = Guards { max_per_hour: 1, ..Guards::default() };
    let mut story = Story::new(Rules { guards, ..Rules::default() });
    for relay in ["a.example.org", "b.example.org"] {
        for _ in 0..3 {
            story.stuck(relay, "").wait(15);
        }
    }
    assert!(last(&story, "b.example.org").contains("within an hour"));
    story.wait(60).input(Input::Tick);
    assert!(story.told.iter().any(|line| line == "alarm ended: Limit"), "{story}");
    assert_eq!(last(&story, "b.example.org"), "active");
}

#[test]
fn tls_fallback_to_clear() {
    check(
        |story| story.state.set_host(Host { falls_back: true, ..Host::NOT_ASKED }),
        "TLSFallbacktoClear is on: sendmail goes on in clear by itself",
    );
}

/// Approves the relay for a day, then lets mail be stuck.
fn approved(set_up: impl FnOnce(&mut Story)) -> (bool, String) {
    let mut refused = false;
    let outcome = outcome_for(MX, |story| {
        set_up(story);
        let until = u32::try_from(story.now().as_second()).unwrap() + 86_400;
        let approval = Approval { until, at: 0, who: "alice".into(), reason: "ticket".into() };
        let relay = Relay::parse(MX.as_bytes()).unwrap();
        story.input(Input::Request(Request::Approve(relay, approval)));
        refused = story.told.iter().any(|line| line.starts_with("refused "));
    });
    (refused, outcome)
}

#[test]
fn what_an_approval_overrules() {
    let overruled = |set_up: fn(&mut Story)| {
        assert_eq!(approved(set_up), (false, "active".to_owned()));
    };
    overruled(|story| story.tlsa = Answer::Known(Tlsa::Secure));
    overruled(|story| story.tlsa = Answer::Unknown("SERVFAIL".into()));
    overruled(|story| {
        story.to = vec!["u@strict.example"];
        story.sts.insert("strict.example", sts(StsMode::Enforce));
    });
    overruled(|story| {
        story.success(MX).wait(1);
    });
    overruled(|story| story.cause = CauseKind::Network);
    overruled(|story| attempt(story, "mx2.example.org", Fault::Config, ""));
    overruled(|story| {
        story.state.set_host(Host { own: Answer::Unknown("x".into()), ..Host::NOT_ASKED })
    });
}

#[test]
fn what_no_approval_overrules() {
    let refused = |set_up: fn(&mut Story)| {
        let (refused, outcome) = approved(set_up);
        assert!(refused && outcome != "active", "{outcome}");
    };
    refused(|story| story.state.set_admin(Answer::Known(admin("TLS_Rcpt: VERIFY\n"))));
    refused(|story| story.state.set_admin(Answer::Known(admin("TLS_Srv:org VERIFY\n"))));
    refused(|story| story.state.set_admin(Answer::Known(admin("Try_TLS:org YES\n"))));
    refused(|story| story.state.set_admin(Answer::Unknown("permission denied".into())));
    refused(|story| story.state.set_rules(Rules { never: never(&["org"]), ..Rules::default() }));
    refused(|story| story.state.set_host(Host { falls_back: true, ..Host::NOT_ASKED }));
    refused(|story| {
        let own = Answer::Known([MX.into()].into());
        story.state.set_host(Host { own, ..Host::NOT_ASKED });
    });
}

#[test]
fn an_approval_ends() {
    let mut story = Story::new(Rules::default());
    story.success(MX);
    let until = u32::try_from(story.now().as_second()).unwrap() + 3600;
    let approval = Approval { until, at: 0, who: "alice".into(), reason: "ticket".into() };
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    story.input(Input::Request(Request::Approve(relay, approval))).wait(61);
    for _ in 0..3 {
        story.stuck(MX, "192.0.2.1").wait(15);
    }
    assert!(last(&story, MX).starts_with("TLS with it worked"), "{story}");
}
