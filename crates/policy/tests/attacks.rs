//! What was tried against the guards, and found a way past them once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use std::net::IpAddr;

use maillog::event::{Attempt, Cause, CauseKind, Fault, Served, What};
use maillog::relay::Relay;
use policy::approval::Approval;
use policy::fact::Answer;
use policy::input::{Input, Look, MapState, Request};
use policy::never::NeverList;
use policy::rules::{Guards, Rules};
use story::{MX, Story, active, admin, look};

const DAY: i64 = 24 * 60;

#[test]
fn an_address_that_is_shared_with_a_relay_whose_mail_would_bounce() {
    let mut s = Story::new(Rules::default());
    s.state.set_admin(Answer::Known(admin("TLS_Rcpt:strict.example VERIFY\n")));
    s.to = vec!["u@strict.example"];
    for _ in 0..3 {
        s.stuck("mx.victim.example", "192.0.2.1").wait(15);
    }
    s.to = vec!["u@evil.example"];
    for _ in 0..3 {
        s.stuck("mx.evil.example", "192.0.2.1").wait(15);
    }
    s.ptr("192.0.2.1", "mx.victim.example");
    assert!(!s.told.iter().any(|l| l.starts_with("active")), "{s}");
}

#[test]
fn an_address_that_is_shared_with_a_relay_that_worked_lately() {
    let mut s = Story::new(Rules::default());
    for _ in 0..10 {
        s.success("mx.victim.example").wait(60);
    }
    for _ in 0..3 {
        s.stuck("mx.victim.example", "192.0.2.1").stuck("mx.evil.example", "192.0.2.1").wait(15);
    }
    s.ptr("192.0.2.1", "mx.victim.example");
    assert!(!s.told.iter().any(|l| l.starts_with("active")), "{s}");
}

#[test]
fn a_withdrawn_entry_goes_though_another_relay_has_it_too() {
    let mut s = Story::new(Rules::default());
    for _ in 0..3 {
        s.stuck("mx.a.example", "192.0.2.1").stuck("mx.b.example", "192.0.2.1").wait(15);
    }
    s.ptr("192.0.2.1", "");
    s.told.clear();
    let relay = Relay::parse(b"mx.a.example").unwrap();
    s.event(What::DaneWarning(relay));
    assert!(s.told.iter().any(|l| l.starts_with("edit + -192.0.2.1")), "{s}");
}

#[test]
fn an_address_whose_confirmed_name_is_on_the_never_list() {
    let mut s = Story::new(Rules::default());
    s.state.set_rules(Rules {
        never: NeverList(vec!["mx.victim.example".parse().unwrap()]),
        ..Rules::default()
    });
    for _ in 0..3 {
        s.stuck("mx.evil.example", "192.0.2.1").wait(15);
    }
    s.ptr("192.0.2.1", "mx.victim.example");
    assert!(!s.told.iter().any(|l| l.starts_with("active")), "{s}");
}

#[test]
fn a_further_address_after_one_reset_while_tls_works() {
    let mut s = active();
    s.wait(60).success(MX).wait(60).success(MX).wait(5);
    s.told.clear();
    s.cause = CauseKind::Network;
    s.stuck(MX, "192.0.2.2").ptr("192.0.2.2", "");
    assert!(!s.told.iter().any(|l| l.starts_with("active")), "{s}");
}

#[test]
fn mail_to_a_strict_domain_stuck_at_a_further_address_withdraws() {
    let mut s = active();
    s.state.set_admin(Answer::Known(admin("TLS_Rcpt:strict.example VERIFY\n")));
    s.to = vec!["u@strict.example"];
    s.stuck(MX, "192.0.2.2");
    assert!(s.told.iter().any(|l| l.starts_with("withdrawn")), "{s}");
}

/// sendmail finds the strict domain in each of these; what we cannot tell is unknown.
#[test]
fn odd_recipients_of_a_strict_domain() {
    let recipients = [
        "u%strict.example",
        "strict.example!u",
        "u@strict.example (c)",
        "u@strict.example(x@y.example)",
    ];
    for recipient in recipients {
        let mut s = Story::new(Rules::default());
        s.state.set_admin(Answer::Known(admin("TLS_Rcpt:strict.example VERIFY\n")));
        s.to = vec![recipient];
        for _ in 0..3 {
            s.stuck(MX, "192.0.2.1").wait(15);
        }
        s.ptr("192.0.2.1", "");
        assert!(!s.told.iter().any(|l| l.starts_with("active")), "{recipient}: {s}");
    }
}

#[test]
fn a_network_of_the_never_list_where_the_log_told_no_address() {
    let outcome = |addresses: Answer<Vec<IpAddr>>, never: &str| {
        let mut s = Story::new(Rules::default());
        let never = NeverList(vec![never.parse().unwrap()]);
        s.state.set_rules(Rules { never, ..Rules::default() });
        s.addresses = addresses;
        for _ in 0..3 {
            s.stuck(MX, "").wait(15);
        }
        s.told.iter().any(|line| line.starts_with("active"))
    };
    let there = || Answer::Known(vec!["192.0.2.1".parse().unwrap()]);
    assert!(!outcome(there(), "192.0.2.0/24"));
    assert!(outcome(there(), "198.51.100.0/24"));
    assert!(!outcome(Answer::Unknown("SERVFAIL".into()), "198.51.100.0/24"));
    assert!(outcome(Answer::Unknown("SERVFAIL".into()), "other.example"));
}

#[test]
fn an_approval_that_has_ended_ends_no_hold_off() {
    let mut s = active();
    s.input(Input::Map(MapState::Seen(look(&[], true, false, &[]))));
    assert!(s.told.iter().any(|l| l.starts_with("lifted")), "{s}");
    s.wait(2 * DAY);
    let until = u32::try_from(s.now().as_second()).unwrap() - 3600;
    let a = Approval { until, at: until - 3600, who: "alice".into(), reason: "x".into() };
    s.input(Input::Request(Request::Approve(Relay::parse(MX.as_bytes()).unwrap(), a)));
    s.told.clear();
    for _ in 0..3 {
        s.stuck(MX, "192.0.2.1").wait(15);
    }
    s.ptr("192.0.2.1", "");
    assert!(!s.told.iter().any(|l| l.starts_with("active")), "{s}");
}

#[test]
fn nothing_is_put_back_over_an_entry_of_the_admins() {
    let mut s = active();
    s.input(Input::Map(MapState::Seen(look(&[], false, true, &["example.org"]))));
    assert!(!s.told.iter().any(|l| l.starts_with("put back")), "{s}");
}

#[test]
fn what_could_not_be_written_counts_against_no_limit() {
    let mut s = Story::new(Rules::default());
    s.map_fails = true;
    for _ in 0..3 {
        s.stuck(MX, "").wait(15);
    }
    for _ in 0..25 {
        s.wait(1).input(Input::Tick);
    }
    assert!(!s.told.iter().any(|l| l.starts_with("alarm")), "{s}");
}

#[test]
fn a_clock_that_was_ahead_does_not_blind() {
    let mut s = Story::new(Rules::default());
    s.wait(30 * DAY).input(Input::Tick).wait(-30 * DAY);
    for n in 0..60 {
        let relay = Relay::parse(format!("mx.d{n}.example").as_bytes()).unwrap().into_owned();
        let cause =
            Some(Cause { kind: CauseKind::Handshake, reason: "certificate expired".into() });
        s.event(What::Attempt(Attempt { relay, fault: Fault::Config, code: 454, cause }));
    }
    assert!(s.told.iter().any(|l| l.starts_with("alarm")), "{s}");
}

#[test]
fn a_relay_with_many_addresses_passes_no_limit() {
    let guards = Guards { max_entries: 1, max_per_hour: 1, ..Guards::default() };
    let mut s = Story::new(Rules { guards, ..Rules::default() });
    for n in 1..=8 {
        s.stuck(MX, &format!("192.0.2.{n}")).wait(10);
    }
    for n in 1..=8 {
        s.ptr(&format!("192.0.2.{n}"), "");
    }
    assert!(s.state.record(MX).unwrap().active().len() <= 1, "{s}");
}

#[test]
fn a_name_that_sendmail_cuts_in_its_successes() {
    let name = format!("{}.{}.example.org", "a".repeat(60), "b".repeat(60));
    let cut = name.get(..100).unwrap();
    let mut s = Story::new(Rules::default());
    for _ in 0..3 {
        s.stuck(&name, "192.0.2.1").wait(5).success(cut).wait(10);
    }
    s.ptr("192.0.2.1", "");
    assert!(!s.told.iter().any(|l| l.starts_with("active")), "{s}");
}

#[test]
fn a_requirement_for_the_address_of_an_entry_withdraws_it() {
    let mut s = active();
    s.wait(5).success(MX).wait(5);
    s.told.clear();
    let mut l: Look = look(&["192.0.2.1"], true, true, &[]);
    l.admins = admin("TLS_Srv:192.0.2.1 VERIFY\n");
    s.input(Input::Map(MapState::Seen(l)));
    assert!(s.told.iter().any(|l| l.starts_with("withdrawn")), "{s}");
}

#[test]
fn no_recipient_is_known_while_tls_is_required_for_some() {
    let mut s = Story::new(Rules::default());
    s.state.set_admin(Answer::Known(admin("TLS_Rcpt:strict.example VERIFY\n")));
    for _ in 0..3 {
        s.stuck(MX, "192.0.2.1").wait(15);
    }
    s.ptr("192.0.2.1", "");
    assert!(!s.told.iter().any(|l| l.starts_with("active")), "{s}");
}

#[test]
fn quiet_nights_do_not_begin_the_three_days_anew() {
    let mut s = Story::new(Rules::default());
    s.success(MX).wait(60);
    for _day in 0..6 {
        for half in 0..48 {
            s.stuck(MX, "192.0.2.1");
            // 11 relays that have been broken for long are tried all the time; healthy ones by day only
            for n in 0..11 {
                let relay =
                    Relay::parse(format!("mx.dead{n}.example").as_bytes()).unwrap().into_owned();
                s.event(What::Attempt(Attempt {
                    relay,
                    fault: Fault::Software,
                    code: 454,
                    cause: None,
                }));
            }
            if half > 12 {
                for n in 0..20 {
                    s.success(&format!("mx.good{n}.example"));
                }
            }
            s.wait(30);
        }
    }
    s.ptr("192.0.2.1", "");
    assert!(
        s.told.iter().any(|l| l.starts_with("active")),
        "{}",
        s.told[s.told.len() - 5..].join("\n")
    );
}

#[test]
fn dane_unknown_cannot_be_approved_where_sendmail_does_dane() {
    use policy::host::Host;
    let mut s = Story::new(Rules::default());
    s.state.set_host(Host { dane: true, ..Host::NOT_ASKED });
    s.tlsa = Answer::Unknown("SERVFAIL".into());
    let until = u32::try_from(s.now().as_second()).unwrap() + 86_400;
    let a = Approval { until, at: 0, who: "alice".into(), reason: "x".into() };
    s.input(Input::Request(Request::Approve(Relay::parse(MX.as_bytes()).unwrap(), a)));
    for _ in 0..3 {
        s.stuck(MX, "192.0.2.1").wait(15);
    }
    s.ptr("192.0.2.1", "");
    assert!(!s.told.iter().any(|l| l.starts_with("active")), "{s}");
}

#[test]
fn an_entry_of_the_admins_below_the_name() {
    let mut s = Story::new(Rules::default());
    s.state.set_admin(Answer::Known(admin(
        "TLS_Srv:secure.mx.example.org VERIFY\nTry_TLS:x.mx.example.org YES\n",
    )));
    for _ in 0..3 {
        s.stuck(MX, "192.0.2.1").wait(15);
    }
    s.ptr("192.0.2.1", MX);
    assert!(!s.told.iter().any(|l| l == "active mx.example.org: mx.example.org"), "{s}");
}

#[test]
fn what_dry_run_has_shown_beyond_a_limit_comes_later() {
    let guards = Guards { max_per_hour: 1, ..Guards::default() };
    let mut s = Story::new(Rules {
        guards: Guards { max_per_hour: 0, ..Guards::default() },
        ..Rules::default()
    });
    s.dry_run = true;
    for r in ["a.example.org", "b.example.org"] {
        for _ in 0..3 {
            s.stuck(r, "").wait(15);
        }
    }
    s.wait(3 * DAY);
    s.state.set_rules(Rules { guards, ..Rules::default() });
    s.dry_run = false;
    s.input(Input::Request(Request::Arm));
    for _ in 0..5 {
        s.wait(60).input(Input::Tick);
    }
    assert!(s.told.iter().filter(|l| l.starts_with("active")).count() == 2, "{s}");
}

/// TLS works at the address by a name of which nothing else is known: whoever points his own name there gets no entry.
#[test]
fn an_address_at_which_tls_works_by_another_name() {
    let outcome = |worked: bool| {
        let mut s = Story::new(Rules::default());
        let relay = Relay::parse(b"mx.victim.example").unwrap();
        if worked {
            s.success("mx.victim.example");
            s.event(What::Served(Served { relay, address: "192.0.2.1".parse().unwrap() }));
        }
        s.wait(60);
        for _ in 0..3 {
            s.stuck("mx.evil.example", "192.0.2.1").wait(15);
        }
        s.ptr("192.0.2.1", "");
        s.told.last().unwrap().clone()
    };
    assert!(outcome(true).starts_with("held mx.evil.example: TLS worked at 192.0.2.1 at"));
    assert!(outcome(false).starts_with("prove "));
}
