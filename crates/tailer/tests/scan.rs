//! Finished logs: files, gzip, patterns, pipes.
#![expect(clippy::disallowed_methods, reason = "writes the files that are then read")]
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tailer::{Error, Input, MAX_LINE, Source, sources};

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Source) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, Source::File(path))
}

/// All that an input gives, and the error at its end.
fn read(input: &mut Input) -> (Vec<u8>, Option<Error>) {
    let mut text = Vec::new();
    loop {
        match input.next_block() {
            Ok(Some(block)) => {
                assert_eq!(block.offset, text.len() as u64);
                text.extend_from_slice(block.bytes);
            }
            Ok(None) => return (text, None),
            Err(error) => return (text, Some(error)),
        }
    }
}

fn check(name: &str, stored: &[u8], expect: &[u8]) {
    let (_dir, source) = file(name, stored);
    let mut input = source.open().unwrap();
    let (text, error) = read(&mut input);
    assert!(error.is_none(), "{name}: {error:?}");
    assert!(text == expect, "{name}: {} bytes instead of {}", text.len(), expect.len());
    assert_eq!(input.size(), Some(stored.len() as u64), "{name}");
    assert_eq!(source.size(), input.size(), "{name}");
    assert_eq!(input.read_bytes(), stored.len() as u64, "{name}");
    assert_eq!(input.unpacked_bytes(), expect.len() as u64, "{name}");
    assert!(input.mtime().is_some(), "{name}");
    assert!(input.next_block().unwrap().is_none(), "{name}: more after the end");
}

fn long_text() -> Vec<u8> {
    (0..100_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect()
}

#[test]
fn plain_and_packed_files() {
    let long = long_text();
    let binary = b"\0\xff\n\x1f\x8b\nlast without a newline\0";
    for text in [&b""[..], b"\n", b"x", b"one\ntwo\n", binary, &long] {
        check("mail.log", text, text);
        check("mail.log.gz", &packed(text), text);
        // By its first bytes, not by its name.
        check("mail.log", &packed(text), text);
        check("mail.log.gz", text, text);
        let members = [packed(text), packed(b""), packed(b"and\n")].concat();
        check("members.gz", &members, &[text, b"and\n"].concat());
    }
}

#[test]
fn over_long_lines_are_skipped_in_packed_files_too() {
    let text = [b"a\n", &vec![b'x'; 5 * MAX_LINE][..], b"\nb\n"].concat();
    let (_dir, source) = file("mail.log.gz", &packed(&text));
    let mut input = source.open().unwrap();
    let mut found = Vec::new();
    while let Some(block) = input.next_block().unwrap() {
        found.extend_from_slice(block.bytes);
    }
    assert_eq!(found, b"a\nb\n");
    assert_eq!(input.skipped(), 1);
}

#[test]
fn a_truncated_file_gives_its_lines_and_then_says_so() {
    let text = long_text();
    let stored = packed(&text);
    for cut in [5, 12, 1000, stored.len() / 2, stored.len() - 9, stored.len() - 1] {
        let (_dir, source) = file("cut.gz", &stored[..cut]);
        let (found, error) = read(&mut source.open().unwrap());
        assert!(text.starts_with(&found), "{cut}");
        assert!(found.is_empty() || found.ends_with(b"\n"), "{cut}: a cut line was given out");
        let error = error.expect("no error");
        let Error::Truncated { offset, .. } = &error else { panic!("{cut}: {error:?}") };
        assert!(*offset >= found.len() as u64);
        assert!(error.to_string().contains("cut.gz\" is truncated"), "{error}");
        if cut > stored.len() / 3 {
            assert!(found.len() > text.len() / 4, "{cut}: only {} bytes", found.len());
        }
        if cut >= stored.len() - 9 {
            assert!(found.len() + 100 > text.len(), "{cut}: only {} bytes", found.len());
        }
    }
}

#[test]
fn a_damaged_file_gives_its_lines_and_then_says_so() {
    let text = long_text();
    let mut stored = packed(&text);
    let crc = stored.len() - 8;
    stored[crc] ^= 1;
    let (_dir, source) = file("bad.gz", &stored);
    let (found, error) = read(&mut source.open().unwrap());
    assert!(found == text);
    let error = error.unwrap();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("bad.gz"), "{error}");
}

#[test]
fn a_file_damaged_in_the_middle_gives_its_lines_up_to_the_place_that_is_named() {
    let text = long_text();
    let good = packed(&text);
    for at in [good.len() / 3, good.len() / 2, good.len() * 2 / 3] {
        let mut stored = good.clone();
        stored[at..at + 64].fill(0xff);
        let (_dir, source) = file("bad.gz", &stored);
        let (found, error) = read(&mut source.open().unwrap());
        let Some(Error::Damaged { offset, .. }) = error else { panic!("{error:?}") };
        let unpacked = &text[..usize::try_from(offset).unwrap()];
        let whole = unpacked.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        assert!(found == text[..whole], "{at}");
    }
}

#[test]
fn what_cannot_be_read() {
    let (dir, source) = file("mail.log.xz", b"\xfd7zXZ\0\0\0");
    let error = source.open().unwrap_err();
    assert!(matches!(error, Error::Packed { tool: "xz", .. }), "{error:?}");
    assert!(matches!(Source::File(dir.path().into()).open(), Err(Error::IsDirectory { .. })));
    let none = dir.path().join("none\x1b[31m");
    let error = Source::File(none).open().unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(!error.to_string().contains('\x1b'), "a control character reaches the terminal");
}

#[test]
fn a_pipe_is_read_packed_or_not() {
    for stored in [long_text(), packed(&long_text())] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let to = path.clone();
        let thread = std::thread::spawn(move || {
            let mut pipe = File::options().write(true).open(to).unwrap();
            // In pieces that break the magic number too.
            stored[..3000].chunks(1).for_each(|byte| pipe.write_all(byte).unwrap());
            pipe.write_all(&stored[3000..]).unwrap();
        });
        let mut input = Source::File(path).open().unwrap();
        let (found, error) = read(&mut input);
        assert!(error.is_none() && found == long_text(), "{error:?}");
        assert_eq!((input.size(), input.mtime()), (None, None));
        thread.join().unwrap();
    }
}

/// A folder with empty files of these names, and what specs within it come to.
fn check_sources(files: &[&str], specs: &[&str], expect: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in files {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), name).unwrap();
    }
    let specs = specs.iter().map(|spec| if *spec == "-" { PathBuf::from(spec) } else { at(spec) });
    let found = sources(specs.map(PathBuf::into_os_string)).unwrap();
    let expect: Vec<Source> = expect
        .iter()
        .map(|name| if *name == "-" { Source::Stdin } else { Source::File(at(name)) })
        .collect();
    assert_eq!(found, expect);
}

#[test]
fn sources_in_the_order_of_time() {
    let rotated = ["mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log"];
    check_sources(&rotated, &["mail.log*"], &rotated);
    // As a shell expands it.
    check_sources(
        &rotated,
        &["mail.log", "mail.log.1", "mail.log.10.gz", "mail.log.2.gz"],
        &rotated,
    );
    check_sources(&rotated, &["mail.log.?", "mail.log"], &["mail.log.1", "mail.log"]);
    let dated = ["maillog-20251228.gz", "maillog-20260104", "maillog"];
    check_sources(&dated, &["maillog", "maillog-*"], &dated);
    // Different logs in the order of their naming, standard input in its place.
    check_sources(
        &["b.log", "b.log.1", "a.log", "a.log.1"],
        &["b.log", "-", "a.log*", "b.log.1"],
        &["b.log.1", "b.log", "-", "a.log.1", "a.log"],
    );
}

#[test]
fn a_file_is_read_once() {
    check_sources(&["mail.log"], &["mail.log", "mail*", "mail.log", "-", "-"], &["mail.log", "-"]);
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::write(&real, "x").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert_eq!(sources([&link, &real]).unwrap(), [Source::File(link)]);
}

#[test]
fn a_name_that_looks_like_a_pattern_and_a_directory_that_matches() {
    check_sources(&["mail[1].log", "mail1.log"], &["mail[1].log"], &["mail[1].log"]);
    check_sources(&["mail/x", "mail.log"], &["mail*"], &["mail.log"]);
    check_sources(&["a/mail.log", "b/mail.log"], &["*/mail.log"], &["a/mail.log", "b/mail.log"]);
}

#[test]
fn specs_that_name_nothing() {
    fn check(dir: &Path, spec: &str, is: fn(&Error) -> bool) {
        let error = sources([dir.join(spec)]).unwrap_err();
        assert!(is(&error), "{spec}: {error:?}");
        assert!(error.to_string().contains(spec), "{spec}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    check(dir.path(), "none", |e| matches!(e, Error::NotFound { .. }));
    check(dir.path(), "none*", |e| matches!(e, Error::NoMatch { .. }));
    check(dir.path(), "fold*", |e| matches!(e, Error::NoMatch { .. }));
    check(dir.path(), "folder", |e| matches!(e, Error::IsDirectory { .. }));
    check(dir.path(), "a***b", |e| matches!(e, Error::BadPattern { .. }));
}
