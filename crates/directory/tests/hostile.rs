//! Whatever a server sends is an error at most. ldap3 panics over messages of a wrong shape, in a task of its own where
//! nobody would see it here; so panics are counted.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use directory::{Bind, Directory, Server, Settings};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// An element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag, 0x82];
    bytes.extend(u16::try_from(content.len()).expect("length").to_be_bytes());
    bytes.extend(content);
    bytes
}

fn message(id: u8, rest: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, id], rest].concat())
}

/// One spoilt byte: where, counted around, and what it becomes.
type Spoilt = (usize, u8);

/// An answer to anything: of this kind, with parts of it left out, spoilt here and there, and cut.
fn answer() -> impl Strategy<Value = (u8, Vec<u8>, Vec<Spoilt>, Option<usize>)> {
    let tag = prop_oneof![
        Just(0x61),
        Just(0x64),
        Just(0x65),
        Just(0x67),
        Just(0x73),
        Just(0x78),
        Just(0x79),
        any::<u8>()
    ];
    let parts = proptest::collection::vec(0..9_u8, 0..6);
    let spoilt = proptest::collection::vec((any::<usize>(), any::<u8>()), 0..3);
    (tag, parts, spoilt, proptest::option::weighted(0.1, any::<usize>()))
}

fn part(number: u8) -> Vec<u8> {
    match number {
        0 => element(0x0a, &[0]),
        1 => element(0x04, b""),
        2 => element(0x04, b"x\xff"),
        3 => element(0x04, b"dc=example"),
        4 => element(
            0x30,
            &element(0x30, &[element(4, b"a"), element(0x31, &element(4, b"b"))].concat()),
        ),
        5 => element(0xa3, &element(4, b"ldap://a")),
        6 => element(0x30, &element(0x31, b"")),
        7 => element(0x24, &element(4, b"a")),
        _ => vec![0x30, 0x84, 0, 0, 0, 0],
    }
}

fn bytes(id: u8, (tag, parts, spoilt, cut): &(u8, Vec<u8>, Vec<Spoilt>, Option<usize>)) -> Vec<u8> {
    let mut content: Vec<u8> = parts.iter().flat_map(|number| part(*number)).collect();
    // Mostly what it should be.
    if parts.len() == 3 {
        content = [part(0), part(1), part(1)].concat();
    }
    let mut bytes = message(id, &element(*tag, &content));
    for (at, byte) in spoilt {
        let at = at % bytes.len();
        bytes[at] = *byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut % bytes.len());
    }
    bytes
}

/// Answers each request of a connection by what is next, and then closes it.
fn serve(socket: &Path, answers: Receiver<Vec<Vec<u8>>>) {
    let listener = UnixListener::bind(socket).expect("socket");
    thread::spawn(move || {
        for answers in answers {
            let (mut stream, _) = listener.accept().expect("accept");
            // A client that waits for the rest of an answer is left.
            stream.set_read_timeout(Some(Duration::from_millis(30))).expect("timeout");
            for answer in answers {
                let mut request = [0; 4096];
                if !stream.read(&mut request).is_ok_and(|read| read > 0)
                    || say(&mut stream, &answer).is_err()
                {
                    break;
                }
            }
        }
    });
}

fn say(stream: &mut UnixStream, answer: &[u8]) -> std::io::Result<()> {
    // In two pieces, as a network may.
    let (one, two) = answer.split_at(answer.len() / 2);
    stream.write_all(one)?;
    stream.write_all(two)
}

#[test]
fn whatever_a_server_sends_nothing_panics() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(what);
    }));
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("ldapi");
    let (answers, received): (Sender<Vec<Vec<u8>>>, _) = channel();
    serve(&socket, received);
    let settings = Settings {
        servers: vec![Server::Local(socket)],
        base: "dc=example".into(),
        bind: Bind::External,
        ca: None,
        cluster: "mx".into(),
        host: "mta1.example.org".into(),
        map: "access".into(),
        votes: "trytlsd".into(),
        vote_ttl: Duration::from_secs(3600),
        timeout: Duration::from_secs(10),
    };
    let bound = message(1, &element(0x61, &[part(0), part(1), part(1)].concat()));
    let given = (proptest::bool::weighted(0.8), proptest::collection::vec(answer(), 1..4));
    let outcome = TestRunner::default().run(&given, |(binds, given)| {
        let first = if binds { 2 } else { 1 };
        let mut said = if binds { vec![bound.clone()] } else { Vec::new() };
        said.extend(given.iter().zip(first..).map(|(answer, id)| bytes(id, answer)));
        answers.send(said).expect("server");
        let mut directory = Directory::new(settings.clone()).expect("settings");
        // What it comes to does not matter.
        drop(directory.look());
        prop_assert_eq!(PANICS.load(Ordering::SeqCst), 0);
        Ok(())
    });
    outcome.expect("no panic");
}
