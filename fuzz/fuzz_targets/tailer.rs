//! Any bytes as a finished log, packed or not: what is given out are the lines of a plain split, and memory is bounded.
//!
//! A byte 0xff stands for a run, the byte after it for its length in units of half a KiB, so that a small case can hold
//! lines that are too long. What is packed is read as it is.

#![no_main]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use flate2::bufread::MultiGzDecoder;
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use tailer::{Error, Input, MAX_LINE, Source};

const GZIP: &[u8] = b"\x1f\x8b\x08";

/// A case that stands for more, packed or not, is left out: it would only be slow.
const MOST: usize = 1 << 20;

/// What one read unpacks at most; so much may be lost before a damage.
const READ: usize = 256 << 10;

fuzz_target!(|data: &[u8]| {
    if !data.starts_with(GZIP) {
        return spread(data).into_iter().for_each(|log| check(&log, &log, true));
    }
    let mut log = Vec::new();
    let whole = MultiGzDecoder::new(data).take(MOST as u64 + 1).read_to_end(&mut log).is_ok();
    if !whole {
        #[expect(clippy::unbuffered_bytes, reason = "an error loses what its own read unpacked")]
        let bytes = MultiGzDecoder::new(data).bytes().map_while(Result::ok);
        log = bytes.take(MOST + 1).collect();
    }
    if log.len() <= MOST {
        check(data, &log, whole);
    }
});

/// The log that a case stands for.
fn spread(data: &[u8]) -> Option<Vec<u8>> {
    let mut log = Vec::new();
    let mut rest = data;
    while log.len() <= MOST {
        match rest {
            [] => return Some(log),
            [0xff, length, after @ ..] => {
                log.resize(log.len() + 512 * usize::from(*length) + 511, b'x');
                rest = after;
            }
            [byte, after @ ..] => {
                log.push(*byte);
                rest = after;
            }
        }
    }
    None
}

/// The file `stored` holds the log; if it is not `whole`, its packing ends too early or is damaged behind the log.
fn check(stored: &[u8], log: &[u8], whole: bool) {
    let mut file = File::from(memfd_create("log", MemfdFlags::CLOEXEC).expect("a file"));
    file.write_all(stored).expect("written");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut input = match Input::open(&Source::File(path.into())) {
        Ok(input) => input,
        Err(Error::Packed { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    let mut given = Vec::new();
    let ended = loop {
        match input.next_block() {
            Ok(Some(block)) => {
                assert!(whole || block.bytes.ends_with(b"\n"));
                given.push((block.offset, block.bytes.to_vec()));
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(ended.is_ok(), whole, "{ended:?}");
    let log = match ended {
        Ok(()) => log,
        Err(Error::Truncated { offset, .. }) => {
            assert_eq!(offset, log.len() as u64);
            log
        }
        Err(Error::Damaged { offset, .. }) => {
            let (read, lost) = log.split_at(usize::try_from(offset).expect("within the log"));
            assert!(lost.len() < READ, "{} bytes are lost", lost.len());
            read
        }
        Err(other) => panic!("{other}"),
    };
    let (expect, skipped) = split(log, whole);
    assert!(lines(&given) == expect, "other lines");
    if whole {
        assert_eq!((input.skipped(), input.unpacked_bytes()), (skipped, log.len() as u64));
    }
}

/// The lines of the blocks, each with its offset.
fn lines(blocks: &[(u64, Vec<u8>)]) -> Vec<(u64, &[u8])> {
    let mut lines = Vec::new();
    for (offset, block) in blocks {
        let mut at = *offset;
        for line in block.split_inclusive(|&b| b == b'\n') {
            lines.push((at, line));
            at += line.len() as u64;
        }
    }
    lines
}

/// The lines that are not too long, and how many are. A last line without a newline counts only if the log is whole.
fn split(log: &[u8], whole: bool) -> (Vec<(u64, &[u8])>, u64) {
    let (mut found, mut skipped, mut at) = (Vec::new(), 0, 0);
    for line in log.split_inclusive(|&b| b == b'\n') {
        let bare = line.strip_suffix(b"\n");
        match bare.unwrap_or(line).len() {
            length if length > MAX_LINE => skipped += 1,
            _ if whole || bare.is_some() => found.push((at, line)),
            _ => {}
        }
        at += line.len() as u64;
    }
    (found, skipped)
}
