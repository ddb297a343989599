//! The status page: what it shows, in a real browser; what it refuses; and that foreign text stays text.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::io::Write as _;
use std::net::SocketAddr;

use jiff::Timestamp;
use ledger::{Happening, VoteRow};
use tests::chromium::{Chromium, Scheme};
use tests::filled;
use tests::http::{ask, get};
use tests::lines::failure;
use tests::rig::{Rig, Running};

/// Three failures make an entry; the page is at whatever port is free.
const ARMED: &str = "dry_run = false\n[policy]\nfailures = 3\nmin_span = \"0s\"\n[guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nburst_relays = 0\nburst_share = 0\nmax_entries = 0\nmax_per_hour = 0\n[status]\nlisten = \"127.0.0.1:0\"\n";

#[expect(clippy::disallowed_methods, reason = "the ledger is filled as of now")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn rig() -> Rig {
    let rig = Rig::new().unwrap();
    rig.config(ARMED).unwrap();
    rig.write("mail.log", "").unwrap();
    rig
}

/// The daemon, and where its page is, as it says itself.
fn run(rig: &Rig) -> (Running, SocketAddr) {
    let mut running = rig.run().unwrap();
    running.wait_says("the page is at http://").unwrap();
    let said = running.stderr();
    let address = said.split("the page is at http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap().parse().unwrap();
    (running, address)
}

/// Entries as the daemon makes them.
fn entries(rig: &Rig, relays: &[(&str, &str)]) {
    let mut running = rig.run().unwrap();
    for (relay, address) in relays {
        for _ in 0..3 {
            rig.append("mail.log", failure(relay, address)).unwrap();
        }
        running.wait_says(&format!("active relay={relay}")).unwrap();
    }
    running.stop().unwrap();
}

/// Without a word in the config nothing listens; an address that others can reach is refused, with the reason.
#[test]
fn it_is_off_and_stays_on_this_host() {
    let rig = Rig::new().unwrap();
    rig.write("mail.log", "").unwrap();
    let running = rig.run().unwrap();
    assert!(!running.stderr().contains("the page is at"), "{}", running.stderr());
    running.stop().unwrap();
    for listen in ["0.0.0.0:9180", "192.0.2.1:9180", "[::]:9180"] {
        rig.config(&format!("[status]\nlisten = \"{listen}\"\n")).unwrap();
        let ran = rig.trytlsd(&["run", "--config", "trytlsd.toml"]).unwrap();
        assert_eq!(ran.status, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("is not on the loopback interface"), "{}", ran.stderr);
    }
    rig.config("[status]\nlisten = \"localhost\"\n").unwrap();
    let ran = rig.trytlsd(&["check-config", "--config", "trytlsd.toml"]).unwrap();
    assert!(ran.stderr.contains("write \"127.0.0.1:9180\""), "{}", ran.stderr);
}

/// A port that is taken is said, and the daemon goes on.
#[test]
fn a_port_that_is_taken_stops_nobody() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = rig();
    let listen = taken.local_addr().unwrap();
    rig.drop_in("page.toml", &format!("[status]\nlisten = \"{listen}\"\n")).unwrap();
    let mut running = rig.run().unwrap();
    running.wait_says("the page cannot be served at").unwrap();
    for _ in 0..3 {
        rig.append("mail.log", failure("mx.example.org", "192.0.2.1")).unwrap();
    }
    running.wait_says("active relay=mx.example.org").unwrap();
    running.stop().unwrap();
}

/// Only GET and HEAD, only for this host, nothing else than what it has; each answer forbids what a browser could be made
/// to do with it.
#[test]
fn what_it_refuses() {
    let rig = rig();
    let (running, address) = run(&rig);
    let check = |request: &str, status: u16| {
        let answer = ask(address, request).unwrap();
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        let header = |name| answer.header(name).map(str::to_owned);
        let policy = header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        assert!(!policy.contains("script") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"));
        assert_eq!(header("cache-control").as_deref(), Some("no-store"));
        answer
    };
    let get = |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    check(&get("localhost:9180", "/"), 200);
    check(&get("[::1]", "/metrics"), 200);
    check(&get("evil.example", "/"), 403);
    check("GET / HTTP/1.1\r\n\r\n", 403);
    check(&get("localhost", "/etc/passwd"), 404);
    check(&get("localhost", "/relay/%"), 404);
    check(&get("localhost", "/relay/unknown.example"), 404);
    let head = check("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200);
    assert_eq!(head.body, "");
    let post = check("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405);
    assert_eq!(post.header("allow"), Some("get, head"));
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(ask(address, &long).map_or(true, |answer| answer.status == 431), "a head of 100 KB");
    running.stop().unwrap();
}

/// What is empty says what that means; what is there is on the page, on its own page, and in the metrics.
#[test]
fn what_it_says() {
    let rig = rig();
    let (running, address) = run(&rig);
    let page = get(address, "/").unwrap().body;
    for words in ["Nothing is stuck.", "No guard holds anything back.", "No entry is in force"] {
        assert!(page.contains(words), "{words:?} in {page}");
    }
    running.stop().unwrap();

    entries(&rig, &[("mx.example.org", "192.0.2.25")]);
    let relay = filled::stuck("mx.stuck.example", 4, now());
    let held = Happening {
        at: now(),
        relay: Some("mx.stuck.example".to_owned()),
        what: "held".to_owned(),
        detail: "MTA-STS: stuck.example enforces MTA-STS".to_owned(),
    };
    filled::add(&rig.path("ledger.db"), now(), vec![relay], vec![held]).unwrap();
    let (running, address) = run(&rig);
    // Names may be broken at their dots.
    let page = get(address, "/").unwrap().body.replace("<wbr>", "");
    for words in [
        ">mx.stuck.example<",
        "stuck.example enforces MTA-STS",
        "needs a person",
        "Try_TLS:192.0.2.25 NO",
        "for 1 relay",
        "href=\"/relay/mx.stuck.example\"",
    ] {
        assert!(page.contains(words), "{words:?} in {page}");
    }
    assert!(!page.contains("Nothing is stuck."), "{page}");
    let one = get(address, "/relay/mx.stuck.example").unwrap().body.replace("<wbr>", "");
    assert!(
        one.contains("5 messages") && one.contains("trytlsd explain 'mx.stuck.example'"),
        "{one}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&get(address, "/overview.json").unwrap().body).unwrap();
    assert_eq!(json["stuck"][0]["relay"], "mx.stuck.example");
    assert_eq!(json["stuck"][0]["messages"], 5);
    let hours = json["stuck"][0]["hours_left"].as_f64().unwrap();
    assert!((113.0..116.0).contains(&hours), "five days less five hours and some: {hours}");
    assert_eq!(json["holds"][0]["guard"], "MTA-STS");
    assert_eq!(json["entries"][0]["lines"][0], "Try_TLS:192.0.2.25\tNO");
    assert_eq!(json["daemon"]["dry_run"], false);
    assert!(json["daemon"]["pid"].is_number(), "{json}");

    let metrics = get(address, "/metrics").unwrap();
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let samples = parse(&metrics.body);
    let check = |name: &str, value: f64| {
        let found = samples.iter().find(|(sample, _)| sample == name).map(|(_, value)| *value);
        assert_eq!(found, Some(value), "{name} in {}", metrics.body);
    };
    check("trytlsd_stuck_relays", 1.0);
    check("trytlsd_stuck_messages", 5.0);
    check("trytlsd_entries{state=\"active\"}", 1.0);
    check("trytlsd_held{guard=\"MTA-STS\"}", 1.0);
    check("trytlsd_alarms{about=\"own-fault\"}", 0.0);
    check("trytlsd_dry_run", 0.0);
    assert!(!metrics.body.contains("stuck.example"), "a relay is no label: {}", metrics.body);
    running.stop().unwrap();
}

/// The text format 0.0.4, strictly: each sample below its HELP and TYPE, names and labels of the right letters, numbers,
/// no sample twice, a line end at the end.
fn parse(text: &str) -> Vec<(String, f64)> {
    let name = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && !text.starts_with(|c: char| c.is_ascii_digit())
    };
    assert!(text.ends_with('\n'));
    let (mut help, mut kind, mut done) = (String::new(), String::new(), Vec::new());
    let mut samples: Vec<(String, f64)> = Vec::new();
    for line in text.strip_suffix('\n').unwrap().split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (metric, words) = rest.split_once(' ').unwrap();
            assert!(name(metric) && words.ends_with('.') && !done.contains(&metric), "{line}");
            done.push(metric);
            help = metric.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest, format!("{help} gauge"));
            kind.clone_from(&help);
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (metric, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            assert_eq!(metric, kind, "{line}");
            let labels = labels.strip_suffix('}').unwrap();
            if !labels.is_empty() {
                let (label, value) = labels.split_once('=').unwrap();
                let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap();
                assert!(name(label) && !value.contains(['"', '\n', '\\']), "{line}");
            }
            assert!(samples.iter().all(|(known, _)| known != sample), "twice: {line}");
            samples.push((sample.to_owned(), value.parse().unwrap()));
        }
    }
    samples
}

/// With a thousand relays and fifty thousand events: how long the server takes is printed, and pictures are taken.
#[test]
fn a_full_ledger_in_a_browser() {
    let rig = rig();
    entries(&rig, &[("mx.example.org", "192.0.2.25"), ("relay.example.net", "192.0.2.26")]);
    filled::fill(&rig.path("ledger.db"), now(), 1_000, 50_000).unwrap();
    let (running, address) = run(&rig);
    let mut took = Vec::new();
    for _ in 0..5 {
        let answer = get(address, "/").unwrap();
        assert_eq!(answer.status, 200);
        took.push(answer.header("server-timing").unwrap().to_owned());
        assert!(answer.body.len() < 1_000_000, "{} bytes", answer.body.len());
    }
    let program = tests::trytlsd::binary().unwrap();
    drop(writeln!(
        std::io::stderr(),
        "1,000 relays, 50,000 events, {}: {took:?}",
        program.display()
    ));
    let Some(chromium) = Chromium::or_skip("a_full_ledger_in_a_browser") else { return };
    let url = format!("http://{address}/");
    let seen = chromium.load(&url).unwrap();
    assert_eq!(seen.console, Vec::<String>::new());
    assert!(seen.dom.contains("<svg") && seen.dom.contains("Messages waiting"), "{}", seen.dom);
    for (scheme, word) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        for (width, height) in [(1280, 2400), (360, 3000)] {
            let name = format!("page-{width}-{word}");
            chromium.picture(&url, &name, (width, height), scheme).unwrap();
        }
    }
    let one = format!("http://{address}/relay/mx.example.org");
    chromium.picture(&one, "relay-1280-light", (1280, 1800), Scheme::Light).unwrap();
    chromium.picture(&one, "relay-360-dark", (360, 2000), Scheme::Dark).unwrap();
    running.stop().unwrap();
}

/// A usual day, as the picture in the README shows it (docs/page.png).
#[test]
fn a_usual_day_in_a_browser() {
    let Some(chromium) = Chromium::or_skip("a_usual_day_in_a_browser") else { return };
    let rig = rig();
    let relays = ["mx.example.org", "relay.example.net", "mail.example.com"];
    entries(&rig, &relays.map(|relay| (relay, "192.0.2.25")));
    filled::fill(&rig.path("ledger.db"), now(), 5, 300).unwrap();
    let (running, address) = run(&rig);
    let url = format!("http://{address}/");
    let seen = chromium.load(&url).unwrap();
    assert!(seen.dom.contains("needs a person"), "{}", seen.dom);
    chromium.picture(&url, "usual-1280-light", (1280, 1330), Scheme::Light).unwrap();
    running.stop().unwrap();
}

/// Who says what in a fleet; the directory need not be there for it. Names there are foreign text.
#[test]
fn a_fleet_in_a_browser() {
    let Some(chromium) = Chromium::or_skip("a_fleet_in_a_browser") else { return };
    let rig = rig();
    rig.drop_in(
        "fleet.toml",
        "[access]\ntarget = \"ldap\"\n[ldap]\nurls = [\"ldaps://127.0.0.1:1\"]\nbase = \"dc=example,dc=org\"\n\
         bind_dn = \"cn=mta1\"\npassword_file = \"/nowhere\"\ncluster = \"mx\"\nhost = \"mta1.example.org\"\n",
    )
    .unwrap();
    let second = now().as_second();
    let vote = |mta: &str, says: &str| VoteRow {
        relay: "mx.example.net".to_owned(),
        mta: mta.to_owned(),
        says: says.to_owned(),
        seen: second - 90,
        written: second - 60,
    };
    let votes = vec![
        vote("mta1.example.org", "broken, needs Try_TLS:mx.example.net"),
        vote("mta2.example.org", "TLS works with it"),
        vote("<b>mta3\u{202e}", "broken, needs Try_TLS:192.0.2.1"),
    ];
    filled::votes(&rig.path("ledger.db"), now(), votes).unwrap();
    let (running, address) = run(&rig);
    let url = format!("http://{address}/");
    let seen = chromium.load(&url).unwrap();
    assert_eq!(seen.console, Vec::<String>::new());
    let dom = seen.dom.replace("<wbr>", "");
    for words in
        ["The fleet <small>3</small>", "2 MTAs need it", "mta2.example.org", "TLS works with it"]
    {
        assert!(dom.contains(words), "{words}: {dom}");
    }
    assert!(dom.contains("&lt;b&gt;mta3\\u{202e}") && !dom.contains("<b>mta3"), "{dom}");
    chromium.picture(&url, "fleet-1280-light", (1280, 1200), Scheme::Light).unwrap();
    running.stop().unwrap();
}

/// Names, replies and reasons of others never become markup, on no page; and the browser has nothing to complain of.
#[test]
fn foreign_text_stays_text() {
    let rig = rig();
    let hostile = "\"><script>console.error('owned')</script><img src=x onerror=console.error(1)>";
    let relay = filled::stuck(hostile, 4, now());
    let row = |what: &str| Happening {
        at: now(),
        relay: Some(hostile.to_owned()),
        what: what.to_owned(),
        detail: format!(
            "MTA-STS: </td></table>{hostile}\u{202e}&amp;<style>*{{display:none}}</style>"
        ),
    };
    let alarm = Happening { relay: None, ..row("alarm") };
    let rows = vec![row("<b>what</b>"), row("held"), alarm];
    filled::add(&rig.path("ledger.db"), now(), vec![relay], rows).unwrap();
    let (running, address) = run(&rig);
    let Some(chromium) = Chromium::or_skip("foreign_text_stays_text") else { return };
    // The browser does tell of what the test looks for.
    let owned = "data:text/html,<script>console.error('owned')</script>";
    assert_eq!(chromium.load(owned).unwrap().console.len(), 1);
    let page = chromium.load(&format!("http://{address}/")).unwrap();
    let link = page.dom.split("href=\"/relay/").nth(1).unwrap().split('"').next().unwrap();
    let one = chromium.load(&format!("http://{address}/relay/{link}")).unwrap();
    for seen in [page, one] {
        assert_eq!(seen.console, Vec::<String>::new());
        assert!(seen.dom.contains("&lt;script&gt;console.error"), "{}", seen.dom);
        for markup in ["<script", "<img", "<style", "<b>", "onerror=\"", "\u{202e}"] {
            assert!(!seen.dom.contains(markup), "{markup:?} in {}", seen.dom);
        }
        assert!(seen.dom.contains("\\u{202e}"), "{}", seen.dom);
    }
    running.stop().unwrap();
}
