//! The end of a log: whether its lines can be read, whether sendmail's are among them, and how old the last one is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maillog::prefix::split;
use maillog::reading::{Verdict, read};
use maillog::shape::Shape;
use maillog::stamp::Calendar;

/// So much of the end is read, in bytes.
const END: u64 = 1 << 20;

/// A line that cannot be read is shown up to so many bytes.
const SHOWN: usize = 120;

/// Programs that are named.
const MOST_PROGRAMS: usize = 3;

/// What the end of a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Whole lines.
    pub(crate) lines: usize,
    /// Those with a time stamp, a host and a program before the message.
    pub(crate) stamped: usize,
    /// Those of sendmail's that are about STARTTLS or a delivery.
    pub(crate) sendmail: usize,
    /// Those of them that tell trytlsd something.
    pub(crate) telling: usize,
    /// The last line that has no such prefix, and what it lacks.
    pub(crate) flaw: Option<(String, String)>,
    /// Which programs wrote most of the lines.
    pub(crate) programs: Vec<String>,
    /// When the last line was written, by its stamp; times without a zone are the local zone's.
    pub(crate) last: Option<Timestamp>,
    /// When the file was last written, by the file system.
    pub(crate) written: Option<Timestamp>,
}

/// Reads the end of the file.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn take(path: &Path) -> io::Result<Sample> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    let written = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let mut file = File::open(path)?;
    let begin = metadata.len().saturating_sub(END);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(END).read_to_end(&mut bytes)?;
    if begin > 0 {
        // The first line is cut.
        let cut = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..cut);
    }
    Ok(Sample { written, ..of(&bytes, written) })
}

/// What these lines hold. `latest`: when the last of them was written at the latest.
fn of(bytes: &[u8], latest: Option<Timestamp>) -> Sample {
    let mut sample = Sample::default();
    let mut programs: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut last = None;
    for line in bytes.split_inclusive(|b| *b == b'\n').filter_map(|line| line.strip_suffix(b"\n")) {
        sample.lines += 1;
        match split(line.strip_suffix(b"\r").unwrap_or(line)) {
            Ok((prefix, _)) => {
                sample.stamped += 1;
                *programs.entry(prefix.program.to_vec()).or_default() += 1;
                last = Some(prefix.stamp);
            }
            Err(flaw) => {
                let shown = line.get(..SHOWN).unwrap_or(line);
                sample.flaw = Some((String::from_utf8_lossy(shown).into_owned(), flaw.to_string()));
            }
        }
        let reading = read(line);
        // Postfix begins its delivery lines as sendmail does.
        let others =
            reading.fields.iter().any(|f| f.name == "program" && f.text.starts_with("postfix"));
        if reading.shape != Shape::Other && !others {
            sample.sendmail += 1;
            sample.telling += usize::from(reading.verdict != Verdict::Ignored);
        }
    }
    let mut programs: Vec<(Vec<u8>, usize)> = programs.into_iter().collect();
    programs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let name = |(name, _): &(Vec<u8>, usize)| String::from_utf8_lossy(name).into_owned();
    sample.programs = programs.iter().take(MOST_PROGRAMS).map(name).collect();
    let calendar = latest.map(|latest| Calendar { latest, zone: TimeZone::system() });
    sample.last = calendar.zip(last).and_then(|(calendar, stamp)| calendar.reader().resolve(stamp));
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_kind() {
        let latest: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let check = |text: &str, expect: (usize, usize, usize, usize), programs: &[&str]| {
            let sample = of(text.as_bytes(), Some(latest));
            let counts = (sample.lines, sample.stamped, sample.sendmail, sample.telling);
            assert_eq!(counts, expect, "{text}");
            assert_eq!(sample.programs, programs, "{text}");
            sample
        };
        check("", (0, 0, 0, 0), &[]);
        check("half a line", (0, 0, 0, 0), &[]);
        let sample = check(
            "2026-11-23T11:30:13.1+00:00 lab sm-mta[276]: ruleset=tls_server, arg1=SOFTWARE, \
             relay=mx.example.org, reject=454 4.7.0 TLS handshake failed.\n\
             2026-11-23T11:31:13.1+00:00 lab sm-mta[276]: starting daemon\n",
            (2, 2, 1, 1),
            &["sm-mta"],
        );
        assert_eq!(sample.last, Some("2026-11-23T11:31:13.1Z".parse().unwrap()));
        assert_eq!(sample.flaw, None);
        let postfix =
            "Nov 23 11:30:13 lab postfix/smtp[1]: 4F3A2B1C9D: to=<a@example.org>, status=sent\n";
        assert_eq!(check(postfix, (1, 1, 0, 0), &["postfix/smtp"]).sendmail, 0);
        let epoch = check("1732361413 lab sm-mta[1]: x\n", (1, 0, 0, 0), &[]);
        assert!(epoch.flaw.unwrap().1.starts_with("no syslog time stamp"));
    }
}
