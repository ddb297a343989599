//! The time from a line in the log to a decision on standard output.
//!
//! The real daemon follows a file, in dry run, with a DNS server of the benchmark's own. Each trial
//! appends the three lines of a failure of a relay that was never seen before; with `failures = 1` that
//! is a decision. The clock runs from before the write to when the proposed line has been read. It
//! takes in: the kernel's notice, the search, the PTR and its forward confirmation, the policy.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::tools::Tools;
use super::{Target, say};
use crate::dns::{DnsServer, Zone};
use crate::generate::{Format, Limit, Spec, generate};
use crate::lines::prefix;
use crate::local::Local;

/// What is promised for 99 trials in 100.
const PROMISED: Duration = Duration::from_millis(10);

/// No decision is waited for longer.
const LIMIT: Duration = Duration::from_secs(10);

/// The rest between two trials, which the daemon spends asleep; a little more each time, so that no
/// timer of the daemon's keeps step with it.
const REST: Duration = Duration::from_millis(20);

/// The place of a trial.
struct Stage {
    log: PathBuf,
    config: PathBuf,
    _dns: DnsServer,
    folder: TempDir,
}

/// One relay that fails.
struct Trial(u32);

impl Trial {
    fn relay(&self) -> String {
        format!("mx{}.latency.example.test", self.0)
    }

    fn address(&self) -> String {
        format!("198.18.{}.{}", self.0 / 250, 1 + self.0 % 250)
    }

    /// Every second relay has a PTR that confirms its name.
    fn has_ptr(&self) -> bool {
        self.0.is_multiple_of(2)
    }

    fn entry(&self) -> String {
        let key = if self.has_ptr() { self.relay() } else { self.address() };
        format!("Try_TLS:{key}\tNO")
    }

    fn lines(&self) -> String {
        let (relay, address, pid) = (self.relay(), self.address(), 1_000_000 + self.0);
        let head = prefix(pid);
        format!(
            "{head}STARTTLS=client, error: connect failed=-1, reason=wrong version number, \
             SSL_error=1, errno=0, retry=-1\n\
             {head}ruleset=tls_server, arg1=SOFTWARE, relay={relay}, reject=454 4.7.0 TLS handshake \
             failed.\n\
             {head}6ANBUDwd000274: to=<u@example.test>, delay=00:00:00, xdelay=00:00:00, \
             mailer=esmtp, pri=30078, relay={relay}. [{address}], dsn=4.7.0, stat=Deferred: 454 4.7.0 \
             TLS handshake failed.\n"
        )
    }
}

/// All trials; gives the target.
pub(super) fn run(tools: &Tools, trials: u32) -> Result<Target> {
    say(format_args!("from a line in the log to a decision (dry run), ms"))?;
    say(format_args!("  {:<34} {:>7} {:>7} {:>7} {:>7}", "", "trials", "p50", "p99", "most"))?;
    let mut promised = Duration::ZERO;
    for rate in [0, 100, 1000] {
        let times = Stage::new(trials)?.run(&tools.trytlsd, trials, rate)?;
        let p99 = percentile(&times, 99);
        if rate == 0 {
            promised = p99;
        }
        let what = match rate {
            0 => "nothing else in the log".to_owned(),
            rate => format!("beside {rate} other lines a second"),
        };
        say(format_args!(
            "  {what:<34} {:>7} {:>7.2} {:>7.2} {:>7.2}",
            times.len(),
            millis(percentile(&times, 50)),
            millis(p99),
            millis(percentile(&times, 100)),
        ))?;
    }
    say(format_args!(""))?;
    Ok(Target {
        what: format!("a decision within {} ms at the 99th percentile", PROMISED.as_millis()),
        got: format!("{:.2} ms", millis(promised)),
        met: Some(promised <= PROMISED),
    })
}

impl Stage {
    fn new(trials: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("trytlsd-bench.").tempdir();
        let folder = folder.context("make a temporary folder")?;
        let mut zone = Zone::new();
        for trial in (0..=trials).map(Trial).filter(Trial::has_ptr) {
            zone = zone.host(&trial.address(), &trial.relay());
        }
        let dns = DnsServer::start(zone).context("start the DNS server")?;
        let path = |name: &str| folder.path().join(name);
        let (log, access, config) = (path("mail.log"), path("access"), path("trytlsd.toml"));
        let text = format!(
            "[log]\npath = {log:?}\n\
             [policy]\nfailures = 1\nmin_span = \"0s\"\nnever = []\nprobe = false\n\
             [access]\nfile = {access:?}\nmap = {access:?}\ntype = \"text\"\nrebuild = \"none\"\n\
             cf = {:?}\n\
             [guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nmax_entries = 0\nmax_per_hour = 0\nburst_relays = 0\nburst_share = 0.0\n\
             [dns]\nservers = [\"{}\"]\n\
             [ledger]\npath = {:?}\n\
             [control]\nsocket = \"\"\n",
            path("sendmail.cf"),
            dns.address(),
            path("ledger.db"),
        );
        append(&log, b"")?;
        append(&access, b"Connect:localhost\tRELAY\n")?;
        append(&path("sendmail.cf"), b"Djown.host.example\n")?;
        append(&config, text.as_bytes())?;
        Ok(Self { log, config, _dns: dns, folder })
    }

    /// The times of all trials, in ascending order, beside `rate` other lines a second.
    fn run(&self, program: &Path, trials: u32, rate: u32) -> Result<Vec<Duration>> {
        let config = self.config.to_str().context("the path of the config is no UTF-8")?;
        let args = ["run", "--dry-run", "--config", config];
        let mut daemon = Local::start(program, &args, self.folder.path())?;
        // The first is not measured: it waits for the start.
        self.once(&mut daemon, &Trial(0))?;
        let mut log = File::options().append(true).open(&self.log).context("open the log")?;
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let times = thread::scope(|scope| {
            scope.spawn(move || noise(&mut log, rate, &stopped));
            let times = (1..=trials).map(|number| {
                thread::sleep(REST + Duration::from_micros(u64::from(number % 37) * 100));
                self.once(&mut daemon, &Trial(number))
            });
            let times: Result<Vec<Duration>> = times.collect();
            drop(stop);
            times
        });
        let mut times = times?;
        let status = daemon.stop()?;
        ensure!(status.success(), "trytlsd ended with {status}");
        times.sort_unstable();
        Ok(times)
    }

    fn once(&self, daemon: &mut Local, trial: &Trial) -> Result<Duration> {
        let (entry, lines) = (trial.entry(), trial.lines());
        let begin = Instant::now();
        append(&self.log, lines.as_bytes())?;
        let said = daemon.wait_for(LIMIT, &entry, |said| said.proposed && said.line == entry);
        match said {
            Ok(said) => Ok(said.at - begin),
            Err(error) => {
                let log: Vec<String> = daemon.said().iter().map(|said| said.line.clone()).collect();
                Err(error.context(log.join("\n")))
            }
        }
    }
}

/// Other lines, one by one, until the sender is gone.
fn noise(log: &mut File, rate: u32, stop: &std::sync::mpsc::Receiver<()>) {
    let spec =
        Spec { limit: Limit::Lines(20_000), share: 0.0, format: Format::Iso, ..Spec::default() };
    let mut text = Vec::new();
    if rate == 0 || generate(&spec, &mut text).is_err() {
        return;
    }
    let pause = Duration::from_secs(1) / rate;
    let begin = Instant::now();
    for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n').cycle()) {
        let rest = (pause * number).saturating_sub(begin.elapsed());
        let gone = stop.recv_timeout(rest) != Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if gone || log.write_all(line).is_err() {
            return;
        }
    }
}

fn append(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::options()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("write {}", path.display()))
}

/// The time within which so many of a hundred are.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let check = |percent, expect| {
            assert_eq!(percentile(&times, percent), Duration::from_millis(expect), "{percent}");
        };
        check(50, 100);
        check(99, 198);
        check(100, 200);
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
