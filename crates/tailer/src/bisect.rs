//! Finds the line of a huge log at which a time begins, without reading the log.
//!
//! Half of what is left is ruled out by one small read, until a few lines are left. A line may not tell its time (it
//! was cut, or is another program's): then those after it are asked, within a bound; where none of them tells, it is
//! taken for wanted, so that too much is read rather than too little.
//!
//! What an attacker could try: lines that lie about their time, so that the reading begins too late. Who can write such
//! lines could as well write lines that are believed.

use std::io;

use crate::begin::Judge;
use crate::file::LogFile;
use crate::lines::MAX_LINE;

/// How much is read to ask one line after another, in bytes: first, and if none of them tells.
const LOOKS: [u64; 2] = [16 * 1024, 256 * 1024];

/// With so many bytes left the lines are asked one by one.
const FEW: u64 = 16 * 1024;

/// Where the first line begins that is not older; after the last whole line if all are.
pub(crate) fn first_not_older(log: &LogFile, older: &mut Judge) -> io::Result<u64> {
    // A line begins at `from`, and all before it are older. What begins at `to` or later is not.
    let (mut from, mut to) = (0, log.size()?);
    while to.saturating_sub(from) > FEW {
        let middle = from + (to - from) / 2;
        match first_that_tells(log, middle, older)? {
            Some((true, next)) => from = next,
            Some((false, _)) | None => to = middle,
        }
    }
    let mut at = from;
    for line in piece(log, from, to.saturating_sub(from) + MAX_LINE as u64)?
        .split_inclusive(|&b| b == b'\n')
    {
        let Some(text) = line.strip_suffix(b"\n") else { break };
        if at >= to || older(text) == Some(false) {
            break;
        }
        at += line.len() as u64;
    }
    Ok(at)
}

/// Whether the first line that begins after `at` and tells is older, and where the line after it begins.
fn first_that_tells(log: &LogFile, at: u64, older: &mut Judge) -> io::Result<Option<(bool, u64)>> {
    for look in LOOKS {
        let bytes = piece(log, at, look)?;
        let mut lines = bytes.split_inclusive(|&b| b == b'\n');
        // The rest of a line.
        let mut next = at + lines.next().map_or(0, <[u8]>::len) as u64;
        for line in lines {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            next += line.len() as u64;
            if let Some(is_older) = older(text) {
                return Ok(Some((is_older, next)));
            }
        }
    }
    Ok(None)
}

fn piece(log: &LogFile, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let filled = log.peek(&mut bytes, from)?;
    bytes.truncate(filled);
    Ok(bytes)
}
