//! The control socket: who may ask what, what a hostile client can do, and the words about the daemon as a whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::{Gid, Resource, Rlimit, Signal, Uid, geteuid, getrlimit, setrlimit};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use serde_json::{Value, json};
use tests::lines::failure;
use tests::need;
use tests::rig::{ACCESS, AT_ONCE, Rig, Running};
use tests::wait;

/// Neither root nor anybody who has a file here.
const STRANGER: u32 = 4711;

/// A group of nobody else.
const GROUP: u32 = 4712;

const SOON: Duration = Duration::from_secs(10);

fn rig() -> Rig {
    let rig = Rig::new().unwrap();
    rig.config(&format!("dry_run = false\n{AT_ONCE}")).unwrap();
    rig.write("mail.log", "").unwrap();
    rig
}

fn json_of(rig: &Rig, args: &[&str]) -> Value {
    serde_json::from_str(&says(rig, &[args, &["--json"]].concat(), 0)).unwrap()
}

/// A daemon that answers.
fn run(rig: &Rig) -> Running {
    let mut running = rig.run().unwrap();
    running.wait_says("commands are answered").unwrap();
    running
}

/// One with an entry.
fn active(rig: &Rig) -> Running {
    let mut running = run(rig);
    rig.append("mail.log", failure("mx.example.org", "192.0.2.1")).unwrap();
    running.wait_says("INFO active relay=mx.example.org").unwrap();
    running
}

fn entries(rig: &Rig) -> usize {
    rig.read("access").matches("Try_TLS:").count()
}

/// The command with the rig's config; its standard output. It must end with that status.
fn says(rig: &Rig, args: &[&str], status: i32) -> String {
    let args = [args, &["--config", "trytlsd.toml"]].concat();
    let ran = rig.trytlsd(&args).unwrap();
    assert_eq!(ran.status, Some(status), "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Sends the text as it is; the status of HTTP and the body.
fn raw(socket: &Path, request: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), serde_json::from_str(body).unwrap_or_default())
}

fn get(socket: &Path, path: &str) -> (u16, Value) {
    raw(socket, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
}

fn post(socket: &Path, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let head = format!("POST /v1/requests HTTP/1.1\r\nhost: x\r\ncontent-length: {}", body.len());
    raw(socket, &format!("{head}\r\n\r\n{body}"))
}

/// Does it as another user, in a thread whose credentials are changed. Needs root.
fn as_stranger<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let stranger = thread::spawn(move || {
        let (uid, gid) = (Uid::from_raw(STRANGER), Gid::from_raw(GROUP));
        rustix::thread::set_thread_groups(&[]).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        work()
    });
    stranger.join().unwrap()
}

/// Whether this test can be another user; says so if not.
fn can_be_stranger(name: &str) -> bool {
    if geteuid().is_root() {
        return true;
    }
    need::skip(name, "it takes root to be another user");
    false
}

/// A rig whose socket is open for a group.
fn with_group() -> Rig {
    let rig = rig();
    rig.drop_in("group.toml", &format!("[control]\ngroup = \"{GROUP}\"\n")).unwrap();
    // The way to it; the folder itself is no secret.
    let folder = rig.path(".").canonicalize().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    rig
}

fn socket(rig: &Rig) -> PathBuf {
    rig.path("control.sock")
}

/// What is asked over the socket stands in the ledger as any request, with who asked as the kernel knows him.
#[test]
fn a_request_over_the_socket_is_as_durable_as_one_in_the_ledger() {
    let rig = rig();
    let running = active(&rig);
    let lift = json!({"wish": {"lift": {"relay": "mx.example.org"}}, "login": "ann\u{1b}[31m"});
    let (status, replied) = post(&socket(&rig), &lift);
    assert_eq!(status, 200, "{replied}");
    assert_eq!(replied["outcome"]["done"], true, "{replied}");
    let view = ledger::View::open(&rig.path("ledger.db")).unwrap();
    let request = view.request(replied["request"].as_i64().unwrap()).unwrap().unwrap();
    assert_eq!(request.who, format!("ann\u{1b}[31m (uid {})", geteuid().as_raw()));
    assert!(request.settled.is_some());
    wait::until(SOON, "no entry", || (entries(&rig) == 0).then_some(())).unwrap();

    // The commands use it: with the daemon's way of waking gone, the answer comes all the same.
    let says = says(&rig, &["hold", "--for", "2d", "mx2.example.org"], 0);
    assert!(says.starts_with("mx2.example.org: held: it had no entry"), "{says}");
    running.stop().unwrap();
    assert!(!socket(&rig).exists());
}

#[test]
fn what_is_not_understood_is_refused_in_words() {
    let rig = rig();
    let running = run(&rig);
    let check = |(status, body): (u16, Value), expect: u16, error: &str| {
        assert_eq!(status, expect, "{body}");
        let text = body["error"].as_str().unwrap();
        assert!(text.contains(error) && body["hint"].is_string(), "{body}");
    };
    let socket = socket(&rig);
    check(get(&socket, "/"), 404, "there is no such path");
    check(get(&socket, "/v2/status"), 404, "there is no such path");
    check(get(&socket, "/v1/requests"), 405, "another method");
    check(get(&socket, "/v1/events?befor=3"), 400, "\"befor\"");
    check(get(&socket, "/v1/events?after=x"), 400, "\"after\"");
    check(get(&socket, "/v1/relays/a%20b%0a"), 400, "no log could name");
    check(post(&socket, &json!({"wish": "stop"})), 400, "unknown variant `stop`");
    check(post(&socket, &json!({"wish": "pause", "for": "1h"})), 400, "unknown field `for`");
    let long = "x".repeat(20 << 10);
    check(post(&socket, &json!({"wish": "pause", "login": long})), 400, "length limit");
    let other = "GET /v1/status HTTP/1.1\r\nhost: x\r\ntrytlsd-ledger: /other.db\r\n\r\n";
    check(raw(&socket, other), 409, "another ledger");
    running.stop().unwrap();
}

#[test]
fn only_root_and_the_daemons_user_may_open_it() {
    let rig = rig();
    let running = run(&rig);
    let mode = fs::metadata(socket(&rig)).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
    running.stop().unwrap();
}

/// Members of the group may ask what is known, and change nothing.
#[test]
fn the_group_may_look_and_not_touch() {
    if !can_be_stranger("the_group_may_look_and_not_touch") {
        return;
    }
    let rig = with_group();
    let running = active(&rig);
    let path = socket(&rig);
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.mode() & 0o777, file.gid()), (0o660, GROUP));
    as_stranger(move || {
        let (status, found) = get(&path, "/v1/events");
        assert_eq!(status, 200, "{found}");
        assert_eq!(found["events"][0]["relay"], "mx.example.org");
        let (status, report) = get(&path, "/v1/report?since=0");
        assert_eq!((status, &report["sums"]["in_force"]), (200, &json!(1)), "{report}");
        assert_eq!(get(&path, "/v1/report?since=x").0, 400);
        let (status, explained) = get(&path, "/v1/relays/MX.example.org?dns=1");
        assert_eq!((status, &explained["entries"][0]), (200, &json!("Try_TLS:192.0.2.1\tNO")));
        // The network is not asked for him.
        assert_eq!(explained["addresses"][0]["ptr"], "not asked");
        for wish in [json!("disarm"), json!("pause"), json!({"lift": {"relay": "mx.example.org"}})]
        {
            let (status, body) = post(&path, &json!({ "wish": wish }));
            assert_eq!(status, 403, "{body}");
        }
    });
    assert_eq!(entries(&rig), 1);
    running.stop().unwrap();
}

/// Whoever may open the socket may try this; root is answered all the same, and the log is read.
#[test]
fn a_hostile_client_delays_nobody() {
    if !can_be_stranger("a_hostile_client_delays_nobody") {
        return;
    }
    let rig = with_group();
    let mut running = run(&rig);
    let path = socket(&rig);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let held = as_stranger(move || {
        let mut held = Vec::new();
        for number in 0..1000 {
            let Ok(mut stream) = UnixStream::connect(&path) else { continue };
            // Some send nothing, some an endless head, some the half of a request.
            let sent: &[u8] = match number % 3 {
                0 => b"",
                1 => &[b'x'; 20_000],
                _ => b"POST /v1/requests HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n{",
            };
            stream.set_nonblocking(true).unwrap();
            drop(stream.write(sent));
            if number % 5 == 0 {
                drop(stream.shutdown(std::net::Shutdown::Write));
            }
            held.push(stream);
        }
        held
    });
    assert!(held.len() > 900, "{}", held.len());
    rig.append("mail.log", failure("mx.example.org", "192.0.2.1")).unwrap();
    running.wait_says("INFO active relay=mx.example.org").unwrap();
    let found = says(&rig, &["events"], 0);
    assert!(found.contains(" active      mx.example.org 192.0.2.1\n"), "{found}");
    says(&rig, &["lift", "mx.example.org"], 0);

    // Many at once are told that they are too many.
    let path = socket(&rig);
    let turned_away = as_stranger(move || {
        let waiting: Vec<_> = (0..60).map(|_| UnixStream::connect(&path).unwrap()).collect();
        wait::until(SOON, "a refusal", || {
            waiting.iter().find_map(|mut stream| {
                stream.set_nonblocking(true).unwrap();
                let mut answer = [0; 64];
                let count = stream.read(&mut answer).ok()?;
                Some(String::from_utf8_lossy(answer.get(..count)?).into_owned())
            })
        })
        .unwrap()
    });
    assert!(turned_away.starts_with("HTTP/1.1 503 "), "{turned_away}");
    drop(held);
    running.stop().unwrap();
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_replaced() {
    let rig = rig();
    let mut running = run(&rig);
    running.signal(Signal::KILL).unwrap();
    running.wait_end(SOON).unwrap();
    assert!(socket(&rig).exists());
    let says = says(&rig, &["pause"], 0);
    assert!(says.starts_with("queued: no daemon runs"), "{says}");
    let mut running = run(&rig);
    running.wait_says("paused by=").unwrap();
    assert_eq!(get(&socket(&rig), "/v1/events").0, 200);
    running.stop().unwrap();
}

/// Two daemons, one name: the second does without, and its commands do not speak to the first.
#[test]
fn a_socket_at_which_another_listens_is_left_alone() {
    let (one, two) = (rig(), rig());
    let first = run(&one);
    let path = socket(&one);
    two.drop_in("same.toml", &format!("[control]\nsocket = {path:?}\n")).unwrap();
    let mut second = two.run().unwrap();
    second.wait_says("another trytlsd listens there; commands use the ledger instead").unwrap();
    let says = says(&two, &["pause"], 0);
    assert!(says.starts_with("paused: "), "{says}");
    second.wait_says("paused by=").unwrap();
    assert!(!first.stderr().contains("paused by="), "{}", first.stderr());
    second.stop().unwrap();
    assert!(path.exists());
    first.stop().unwrap();

    // Nor is anything else of that name.
    two.write("control.sock", "precious").unwrap();
    two.drop_in("same.toml", "").unwrap();
    let mut running = two.run().unwrap();
    running.wait_says("there is something else of that name").unwrap();
    running.stop().unwrap();
    assert_eq!(two.read("control.sock"), "precious");
}

#[test]
fn a_pause_lasts_over_a_restart_until_resume() {
    let rig = rig();
    let mut running = active(&rig);
    let paused = says(&rig, &["pause"], 0);
    assert!(paused.starts_with("paused: the log is read and counted"), "{paused}");
    assert!(says(&rig, &["pause"], 0).contains("paused: it is paused since "));
    rig.append("mail.log", failure("mx2.example.org", "192.0.2.2")).unwrap();
    running.stop().unwrap();
    running = run(&rig);
    rig.append("mail.log", failure("mx3.example.org", "192.0.2.3")).unwrap();
    let explained = says(&rig, &["explain", "--no-dns", "mx3.example.org"], 0);
    assert!(explained.contains(" HALT                paused since "), "{explained}");
    wait::until(SOON, "mx3's count", || {
        let explained = says(&rig, &["explain", "--no-dns", "mx3.example.org"], 0);
        explained.contains("1 within").then_some(())
    })
    .unwrap();
    assert_eq!(entries(&rig), 1, "what is in force stays, and nothing comes");
    let resumed = says(&rig, &["resume", "--json"], 0);
    let resumed: Value = serde_json::from_str(&resumed).unwrap();
    assert_eq!(resumed["outcome"], "resumed");
    running.wait_says("INFO active relay=mx2.example.org").unwrap();
    running.wait_says("INFO active relay=mx3.example.org").unwrap();
    assert!(says(&rig, &["resume"], 0).contains("it was neither paused nor disarmed"));
    running.stop().unwrap();
}

#[test]
fn disarm_takes_all_entries_out_and_keeps_them_out() {
    let rig = rig();
    rig.append("access", "Try_TLS:admins.example\tNO\n").unwrap();
    let admins = rig.read("access");
    let mut running = active(&rig);
    rig.append("mail.log", failure("mx2.example.org", "192.0.2.2")).unwrap();
    running.wait_says("INFO active relay=mx2.example.org").unwrap();

    let ran = rig.trytlsd(&["disarm", "--config", "trytlsd.toml"]).unwrap();
    assert_eq!(ran.status, Some(2), "nobody was asked");
    assert!(ran.stderr.contains("add --yes"), "{}", ran.stderr);
    assert_eq!(entries(&rig), 3);

    let disarmed = says(&rig, &["disarm", "--yes"], 0);
    assert!(disarmed.starts_with("disarmed: 2 entries to be taken out; "), "{disarmed}");
    assert!(disarmed.ends_with("they are out of file and map\n"), "{disarmed}");
    assert_eq!(rig.read("access"), admins);
    running.stop().unwrap();

    let mut running = run(&rig);
    rig.append("mail.log", failure("mx3.example.org", "192.0.2.3")).unwrap();
    wait::until(SOON, "mx3's count", || {
        let explained = says(&rig, &["explain", "--no-dns", "mx3.example.org"], 0);
        explained.contains("1 within").then_some(())
    })
    .unwrap();
    assert!(says(&rig, &["pause"], 1).starts_with("refused: it is disarmed since "));
    assert_eq!(rig.read("access"), admins);
    says(&rig, &["resume"], 0);
    running.wait_says("INFO active relay=mx3.example.org").unwrap();
    running.stop().unwrap();
}

/// Where no daemon runs an operator may want it all the more.
#[test]
fn disarm_without_a_daemon_does_it_at_once() {
    let rig = rig();
    active(&rig).stop().unwrap();
    says(&rig, &["resume"], 0); // An older word, that waits for the next daemon.
    let disarmed = says(&rig, &["disarm", "--yes", "--json"], 0);
    let disarmed: Value = serde_json::from_str(&disarmed).unwrap();
    assert_eq!((&disarmed["outcome"], &disarmed["left"]), (&json!("disarmed"), &json!(0)));
    let words = disarmed["says"].as_str().unwrap();
    assert!(
        words.contains("it was done here: 1 entry are out") || words.contains("1 entry"),
        "{words}"
    );
    assert_eq!(rig.read("access"), ACCESS);

    let mut running = run(&rig);
    rig.append("mail.log", failure("mx.example.org", "192.0.2.1")).unwrap();
    rig.append("mail.log", failure("mx2.example.org", "192.0.2.2")).unwrap();
    wait::until(SOON, "mx2's count", || {
        let explained = says(&rig, &["explain", "--no-dns", "mx2.example.org"], 0);
        explained.contains("1 within").then_some(())
    })
    .unwrap();
    assert_eq!(rig.read("access"), ACCESS);
    says(&rig, &["resume"], 0);
    running.wait_says("INFO active relay=mx2.example.org").unwrap();
    running.stop().unwrap();
}

/// What dry run may not add it may take out, on that word.
#[test]
fn disarm_in_dry_run_takes_out_what_an_earlier_run_wrote() {
    let rig = rig();
    active(&rig).stop().unwrap();
    rig.config(AT_ONCE).unwrap();
    let running = run(&rig);
    assert_eq!(entries(&rig), 1);
    says(&rig, &["disarm", "--yes"], 0);
    assert_eq!(rig.read("access"), ACCESS);
    running.stop().unwrap();
}

#[test]
fn events_are_followed_over_a_restart() {
    let rig = rig();
    let running = active(&rig);
    let mut follower = rig.spawn(&[
        "events",
        "--config",
        "trytlsd.toml",
        "--follow",
        "--relay",
        "MX2.example.org",
    ]);
    let follower = follower.as_mut().unwrap();
    rig.append("mail.log", failure("mx2.example.org", "192.0.2.2")).unwrap();
    follower.wait_says(" active      mx2.example.org 192.0.2.2\n").unwrap();
    running.stop().unwrap();
    follower.wait_says("; this is what the ledger says").unwrap();
    let running = run(&rig);
    says(&rig, &["lift", "mx2.example.org"], 0);
    follower.wait_says(" lifted      mx2.example.org 192.0.2.2 by hand\n").unwrap();
    assert!(!follower.stdout().contains("mx.example.org"), "{}", follower.stdout());
    assert!(!follower.stdout().contains('\x1b'), "colour in a pipe");
    running.stop().unwrap();

    let json = says(&rig, &["events", "--json", "--relay", "192.0.2.9"], 0);
    assert_eq!(json, "");
    let json = says(&rig, &["events", "--json"], 0);
    let ids: Vec<i64> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap())
        .collect();
    assert!(ids.len() > 4 && ids.is_sorted(), "{json}");
}

#[test]
fn status_and_list_say_what_is_going_on() {
    let rig = rig();
    rig.append("access", "Try_TLS:mx.example.org\tYES\n").unwrap();
    let nothing = says(&rig, &["status"], 0);
    assert!(nothing.contains(": not running\n"), "{nothing}");
    assert!(nothing.contains("there is none yet"), "{nothing}");
    assert_eq!(says(&rig, &["list"], 0), "");
    let mut running = run(&rig);
    rig.append("mail.log", failure("mx.example.org", "192.0.2.1")).unwrap();
    running.wait_says("held relay=mx.example.org").unwrap();
    wait::until(SOON, "what is held", || {
        let status = json_of(&rig, &["status"]);
        (status["held"] == 1 && status["stuck"]["messages"] == 1).then_some(())
    })
    .unwrap();
    let status = json_of(&rig, &["status"]);
    assert_eq!(
        (&status["daemon"]["following"], &status["need_a_person"]),
        (&json!(true), &json!(1))
    );
    assert!(status["daemon"]["pid"].is_u64() && status["daemon"]["dry_run"] == false, "{status}");

    rig.append("mail.log", failure("mx2.example.org", "192.0.2.2")).unwrap();
    running.wait_says("INFO active relay=mx2.example.org").unwrap();
    says(&rig, &["hold", "--for", "3d", "mx3.example.org"], 0);
    let list = wait::until(SOON, "three rows", || {
        let list = says(&rig, &["list"], 0);
        (list.lines().count() >= 3).then_some(list)
    })
    .unwrap();
    let row = |name: &str| {
        let row = list.lines().find(|line| line.starts_with(name)).unwrap();
        row.split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(list.lines().next().unwrap().split_whitespace().next(), Some("RELAY"), "{list}");
    assert_eq!(row("mx2.example.org ")[1], "active");
    assert!(row("mx2.example.org ").contains(&"Try_TLS:192.0.2.2"), "{list}");
    assert_eq!(row("mx3.example.org ")[1], "lifted");
    assert!(!list.contains('\t') && !list.contains('\x1b'), "{list}");
    running.stop().unwrap();

    // Without a daemon the ledger says the same, and the command says so.
    let ran = rig.trytlsd(&["list", "--config", "trytlsd.toml"]).unwrap();
    assert_eq!(ran.stdout, list);
    assert_eq!(ran.stderr, "trytlsd: no daemon runs; this is what the ledger says\n");
}

/// `trytlsd events | head -1`: whoever has read enough goes, and that is no error.
#[test]
fn a_reader_that_goes_is_no_error() {
    let rig = rig();
    let mut running = run(&rig);
    for number in 1..20 {
        let relay = format!("mx{number}.example.org");
        rig.append("mail.log", failure(&relay, &format!("192.0.2.{number}"))).unwrap();
    }
    running.wait_says("INFO active relay=mx19.example.org").unwrap();
    for args in
        [&["events"][..], &["events", "--json"], &["events", "--follow"], &["list"], &["status"]]
    {
        let ended = rig.unread(&[args, &["--config", "trytlsd.toml"]].concat()).unwrap();
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
        rig.append("mail.log", failure("mx.later.example", "198.51.100.1")).unwrap();
    }
    running.stop().unwrap();
}
