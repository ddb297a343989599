//! Web servers that are wrong, broken or hostile: each is a failure that says what it is, and leaves the kept policy.

use std::time::Duration;

use facts::{Resolver, Settings};

use super::ca::{Authority, Wish};
use super::https::{HttpsServer, Manner, Then};
use super::{DOMAIN, HOST, POLICY, Rig, ask, good, old, response, zone};

const OK: &str = "200 OK\r\ncontent-type: text/plain";

/// What the servers of a table have been found to lead to.
struct Table {
    cases: usize,
    timeout: Duration,
}

impl Table {
    /// What is unknown must be for the reason that begins so; what is kept stays.
    async fn rig(&mut self, rig: &Rig, what: &str, why: &str) {
        self.cases += 1;
        let settings = Settings { sts_timeout: self.timeout, ..rig.settings() };
        let answer = ask(&Resolver::new(settings.clone()), 0).await;
        let about = match why {
            "timed out" => "? ".to_owned(), // a slow machine may be at any stage of it
            _ => format!("? MTA-STS policy of {DOMAIN}: "),
        };
        let found = answer.strip_prefix(&about);
        assert!(found.is_some_and(|found| found.contains(why)), "{what}: {answer}");
        let resolver = Resolver::new(settings);
        resolver.keep_policies([old()]);
        assert_eq!(ask(&resolver, 0).await, "testing old -500..500", "{what}");
    }

    async fn talk(&mut self, what: &str, bytes: impl Into<Vec<u8>>, then: Then, why: &str) {
        let manner = Manner::Talk(bytes.into(), then);
        let rig = Rig::start(zone("1"), &Wish::of(&[HOST]), manner);
        self.rig(&rig, what, why).await;
    }

    async fn head(&mut self, head: &str, why: &str) {
        self.talk(head, response(head, POLICY), Then::End, why).await;
    }

    async fn body(&mut self, body: &str, why: &str) {
        self.talk(body, response(OK, body), Then::End, why).await;
    }

    async fn plain(&mut self, what: &str, bytes: &[u8], why: &str) {
        let manner = Manner::Plain(bytes.to_vec());
        let rig = Rig::start(zone("1"), &Wish::of(&[HOST]), manner);
        self.rig(&rig, what, why).await;
    }

    async fn wish(&mut self, wish: Wish, why: &str) {
        let rig = Rig::start(zone("1"), &wish, good(POLICY));
        self.rig(&rig, &format!("{wish:?}"), why).await;
        assert_eq!(rig.https.requests(), Vec::<String>::new(), "{wish:?}");
    }
}

#[tokio::test]
async fn hostile_servers() {
    let mut table = Table { cases: 0, timeout: Duration::from_secs(60) };
    let t = &mut table;

    // Another answer than a policy. Where a redirect leads to is never asked.
    for status in ["301", "302", "303", "307", "308"] {
        let head = format!("{status} X\r\nlocation: /.well-known/mta-sts.txt");
        t.head(&head, &format!("HTTP status {status}")).await;
    }
    for status in ["201", "203", "206", "400", "401", "404", "410", "429", "500", "503", "999"] {
        let head = format!("{status} X\r\ncontent-type: text/plain");
        t.head(&head, &format!("HTTP status {status}")).await;
    }
    t.talk("204", "HTTP/1.1 204 X\r\n\r\n", Then::End, "HTTP status 204").await;
    t.talk("304", "HTTP/1.1 304 X\r\n\r\n", Then::End, "HTTP status 304").await;
    t.talk(
        "101",
        "HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        Then::End,
        "HTTP",
    )
    .await;

    // Another kind of document.
    let kind = "the content is not text/plain";
    t.head("200 OK", kind).await;
    t.head("200 OK\r\ncontent-type: text/html", kind).await;
    t.head("200 OK\r\ncontent-type: text/plainer", kind).await;
    t.head("200 OK\r\ncontent-type: application/octet-stream; text/plain", kind).await;
    t.head("200 OK\r\ncontent-type: text/plain\r\ncontent-type: text/html", kind).await;
    t.head("200 OK\r\ncontent-type:", kind).await;

    // No policy, though it is text.
    t.body("", "its version is not STSv1").await;
    t.body("<!DOCTYPE html>\n<title>Not found</title>", "a line of it is no field").await;
    t.body(&POLICY.replace("STSv1", "STSv2"), "its version is not STSv1").await;
    t.body(&POLICY.replace("enforce", "off"), "it has no valid mode").await;
    t.body(&POLICY.replace("1000", "31557601"), "it has no valid max_age").await;
    t.body(&POLICY.replace("mx.one.test", "mx one"), "an mx of it is no name").await;
    t.talk("no UTF-8", [response(OK, "\u{7f}").as_slice()].concat(), Then::End, "no field").await;
    let latin =
        [format!("HTTP/1.1 {OK}\r\ncontent-length: 1\r\n\r\n").as_bytes(), b"\xe4"].concat();
    t.talk("Latin-1", latin, Then::End, "it is no UTF-8").await;

    // Too long.
    let long = "the body is longer than 64 KiB";
    let body = format!("{POLICY}x: {}", "x".repeat(64 * 1024 - POLICY.len() - 2));
    t.talk("a byte too long", response(OK, &body), Then::End, long).await;
    let open = format!("HTTP/1.1 {OK}\r\n\r\n{POLICY}");
    t.talk("endless", open.clone(), Then::Repeat(b"x: y\n".repeat(1000)), long).await;
    let chunked = format!("HTTP/1.1 {OK}\r\ntransfer-encoding: chunked\r\n\r\n");
    t.talk("endless chunks", chunked.clone(), Then::Repeat(b"1\r\nx\r\n".to_vec()), long).await;
    t.talk("endless extension", chunked.clone() + "1", Then::Repeat(b";x".to_vec()), "HTTP: ")
        .await;
    t.talk(
        "endless trailers",
        chunked.clone() + "0\r\n",
        Then::Repeat(b"x: y\r\n".to_vec()),
        "HTTP: ",
    )
    .await;
    t.talk("endless head", "HTTP/1.1 200 OK\r\n", Then::Repeat(b"x: y\r\n".to_vec()), "HTTP: ")
        .await;
    t.talk("endless field", "HTTP/1.1 200 OK\r\nx: ", Then::Repeat(b"x".to_vec()), "HTTP: ").await;
    t.talk("endless status", "HTTP/1.1 200 ", Then::Repeat(b"OK".to_vec()), "HTTP: ").await;
    t.head(&format!("{OK}\r\n{}x: y", "x: y\r\n".repeat(200)), "HTTP: ").await;

    // Cut short: what is there is a valid policy each time, with a max_age of 10 s.
    let short = POLICY.trim_end().trim_end_matches("00");
    assert!(short.ends_with("max_age: 10"));
    let open = format!("HTTP/1.1 {OK}\r\n\r\n{short}");
    t.talk("cut, no length", open.clone(), Then::Cut, "HTTP: ").await;
    let length = POLICY.len();
    let with_length = format!("HTTP/1.1 {OK}\r\ncontent-length: {length}\r\n\r\n{short}");
    t.talk("cut, a length", with_length.clone(), Then::Cut, "HTTP: ").await;
    t.talk("ended, a length", with_length, Then::End, "HTTP: ").await;
    let in_chunk = format!("{chunked}{length:x}\r\n{short}");
    t.talk("ended in a chunk", in_chunk, Then::End, "HTTP: ").await;
    let after_chunk = format!("{chunked}{:x}\r\n{short}\r\n", short.len());
    t.talk("ended after a chunk", after_chunk, Then::End, "HTTP: ").await;

    // No HTTP.
    t.talk("nothing", "", Then::End, "HTTP: ").await;
    t.talk("nothing, cut", "", Then::Cut, "HTTP: ").await;
    t.talk("garbage", vec![0xff; 500], Then::End, "HTTP: ").await;
    t.talk("HTTP/0.9", POLICY, Then::End, "HTTP: ").await;
    t.talk("HTTP/2", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64".to_vec(), Then::End, "HTTP: ").await;
    t.talk("SMTP", "220 mx.one.test ESMTP\r\n", Then::End, "HTTP: ").await;
    t.talk("a bad chunk", chunked + "zz\r\n", Then::End, "HTTP: ").await;
    t.talk("bad field", "HTTP/1.1 200 OK\r\nx\r\n\r\n", Then::End, "HTTP: ").await;
    let twice = format!("{OK}\r\ncontent-length: 1");
    t.head(&twice, "HTTP: ").await;

    // No TLS.
    t.plain("closed", b"", "TLS: ").await;
    t.plain("garbage", &[0xff; 500], "TLS: ").await;
    t.plain("HTTP in clear", &response(OK, POLICY), "TLS: ").await;
    t.plain("an alert", b"\x15\x03\x03\0\x02\x02\x28", "TLS: ").await;
    t.plain("an endless record", b"\x16\x03\x03\xff\xff", "TLS: ").await;

    // Another host's certificate, or nobody's.
    let mismatch = "certificate: hostname mismatch";
    t.wish(Wish::of(&["mta-sts.two.test"]), mismatch).await;
    t.wish(Wish::of(&[DOMAIN]), mismatch).await;
    t.wish(Wish::of(&["*.test"]), mismatch).await;
    t.wish(Wish::of(&["*.mta-sts.one.test"]), mismatch).await;
    t.wish(Wish::of(&["mta*.one.test"]), mismatch).await;
    t.wish(Wish::of(&["mta-sts.one.test.evil.test"]), mismatch).await;
    t.wish(Wish { common: HOST, ..Wish::of(&[]) }, mismatch).await;
    t.wish(Wish { common: HOST, ..Wish::of(&["two.test"]) }, mismatch).await;
    t.wish(Wish { address: Some("127.0.0.1"), ..Wish::of(&[]) }, mismatch).await;
    let wish = || Wish::of(&[HOST]);
    t.wish(Wish { days: [-9, -1], ..wish() }, "certificate: certificate has expired").await;
    t.wish(Wish { days: [1, 9], ..wish() }, "certificate: certificate is not yet valid").await;
    t.wish(Wish { own: true, ..wish() }, "certificate: self").await;
    t.wish(Wish { old: true, ..wish() }, "TLS: ").await;
    let mut rig = Rig::good(zone("1"));
    rig.https = HttpsServer::start("127.0.0.1:0", Authority::new().acceptor(&wish()), good(POLICY));
    t.rig(&rig, "of another authority", "certificate: ").await;

    assert!(t.cases >= 30, "{}", t.cases);
}

#[tokio::test]
async fn slow_servers() {
    // Short, so that nobody waits; whatever the machine, none of these servers ever comes to an end.
    let mut table = Table { cases: 0, timeout: Duration::from_millis(300) };
    let t = &mut table;
    let late = "timed out";
    let open = format!("HTTP/1.1 {OK}\r\n\r\n");
    let chunked = format!("HTTP/1.1 {OK}\r\ntransfer-encoding: chunked\r\n\r\n");
    t.talk("silent", "", Then::Silence, late).await;
    t.talk("silent in the head", "HTTP/1.1 200 OK\r\n", Then::Silence, late).await;
    t.talk("silent in the body", open.clone() + POLICY, Then::Silence, late).await;
    t.talk("a slow body", open, Then::Trickle(b"x".to_vec()), late).await;
    t.talk("slow chunks", chunked, Then::Trickle(b"1\r\nx\r\n".to_vec()), late).await;
    t.talk("a slow head", "HTTP/1.1 200 OK\r\n", Then::Trickle(b"x: y\r\n".to_vec()), late).await;
    let wait = "HTTP/1.1 100 Continue\r\n\r\n";
    t.talk("always about to", wait, Then::Repeat(wait.into()), late).await;
    let rig = Rig::start(zone("1"), &Wish::of(&[HOST]), Manner::Deaf);
    t.rig(&rig, "deaf", late).await;
    // Also if it has two addresses, each of which is.
    let rig =
        Rig::start(zone("1").address(HOST, "::ffff:127.0.0.1"), &Wish::of(&[HOST]), Manner::Deaf);
    t.rig(&rig, "twice deaf", late).await;
    // The host's address is part of it.
    let rig = Rig::good(zone("1").manner(HOST, super::DnsManner::Silent));
    t.rig(&rig, "no address", late).await;
}
