//! Who appears in a log: hosts, addresses, users, relays that fail.

use std::fmt::Write as _;

use super::random::Random;

const KINDS: [&str; 20] = [
    "mail", "mx", "smtp", "relay", "in", "out", "gate", "post", "edge", "mta", "node", "srv",
    "cloud", "host", "net", "web", "filter", "hub", "lists", "inbound",
];

const WORDS: [&str; 32] = [
    "acorn", "basalt", "clover", "dune", "elder", "fjord", "granite", "heron", "iris", "jasmine",
    "kelp", "lichen", "moss", "nutmeg", "oriole", "pebble", "quail", "rowan", "sorrel", "thistle",
    "urchin", "vetch", "walnut", "yucca", "zinnia", "alpine", "bramble", "copper", "drift",
    "ember", "fennel", "gorse",
];

const ZONES: [&str; 6] =
    ["example", "test", "example.com", "example.net", "example.org", "de.example"];

/// Hosts, users and so on: so many of each, a power of two.
const MANY: usize = 4096;

/// A host that takes or gives mail.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// As between sendmail's brackets: `198.18.3.4` or `IPv6:2001:db8:0:0:0:0:0:1`.
    pub(super) address: String,
    pub(super) domain: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Cast {
    hosts: Vec<Host>,
    users: Vec<String>,
    recipients: Vec<String>,
    message_ids: Vec<String>,
    failing: Vec<Host>,
    /// The sums of the weights of the failing relays up to each; 1/1, 1/2, 1/3 and so on.
    weights: Vec<u64>,
}

impl Cast {
    pub(super) fn new(random: &mut Random, relays: usize) -> Self {
        let hosts: Vec<Host> = (0..MANY).map(|_| host(random, "")).collect();
        let users: Vec<String> = (0..MANY).map(|_| user(random)).collect();
        let recipients =
            users.iter().map(|user| format!("{user}@{}", random.one_of(&hosts).domain)).collect();
        let message_ids = hosts
            .iter()
            .map(|host| format!("{:x}.{}@{}", random.next_u64(), random.next_u32(), host.name))
            .collect();
        // Their number in the name: no two are the same, and none is one of the hosts.
        let failing: Vec<Host> =
            (1..=relays.max(1)).map(|number| host(random, &format!("-b{number}"))).collect();
        let mut sum = 0;
        let weights = (1..=failing.len() as u64).map(|rank| {
            sum += (1 << 32) / rank;
            sum
        });
        let weights = weights.collect();
        Self { hosts, users, recipients, message_ids, failing, weights }
    }

    pub(super) fn host(&self, random: &mut Random) -> &Host {
        random.one_of(&self.hosts)
    }

    pub(super) fn user(&self, random: &mut Random) -> &str {
        random.one_of::<String>(&self.users)
    }

    pub(super) fn recipient(&self, random: &mut Random) -> &str {
        random.one_of::<String>(&self.recipients)
    }

    pub(super) fn message_id(&self, random: &mut Random) -> &str {
        random.one_of::<String>(&self.message_ids)
    }

    /// A relay that fails, the first the most often.
    pub(super) fn failing(&self, random: &mut Random) -> &Host {
        let all = self.weights.last().copied().unwrap_or(1);
        let mark = random.next_u64() % all;
        let rank = self.weights.partition_point(|sum| *sum <= mark);
        &self.failing[rank.min(self.failing.len() - 1)]
    }
}

fn host(random: &mut Random, mark: &str) -> Host {
    let mut domain = (*random.one_of(&WORDS)).to_owned();
    let _infallible = match random.below(3) {
        0 => write!(domain, "-{}", random.one_of(&WORDS)),
        1 => write!(domain, "{}", random.below(100)),
        _ => Ok(()),
    };
    let _infallible = write!(domain, "{mark}.{}", random.one_of(&ZONES));
    let name = format!("{}{}.{domain}", random.one_of(&KINDS), random.below(40));
    let address = if random.below(7) == 0 {
        let (a, b, c) = (random.below(65_536), random.below(65_536), random.below(65_536));
        format!("IPv6:2001:db8:{a:x}:{b:x}:0:0:0:{c:x}")
    } else {
        // RFC 2544: 198.18.0.0/15 is for benchmarks.
        let (b, c, d) = (18 + random.below(2), random.below(256), 1 + random.below(254));
        format!("198.{b}.{c}.{d}")
    };
    Host { name, address, domain }
}

fn user(random: &mut Random) -> String {
    let first = random.one_of(&WORDS);
    match random.below(3) {
        0 => format!("{first}.{}", random.one_of(&WORDS)),
        1 => format!("{first}{}", random.below(1000)),
        _ => (*first).to_owned(),
    }
}
