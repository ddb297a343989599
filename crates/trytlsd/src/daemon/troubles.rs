//! What the threads tell of their troubles. Each mends most of them itself within seconds (a log that is being rotated, a map that
//! somebody else is building), so only what lasts is an alarm.

use jiff::{SignedDuration, Timestamp};
use policy::alarm::Outside;
use policy::input::Input;

/// How long it must last.
const LASTS: SignedDuration = SignedDuration::from_secs(60);

/// Since when map and log are in trouble, and why; none if they are not.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    map: Option<(Timestamp, String)>,
    log: Option<(Timestamp, String)>,
}

impl Troubles {
    /// A thread tells why it fails, or that it does no more.
    pub(super) fn hear(&mut self, of: Outside, why: Option<String>, now: Timestamp) {
        let known = match of {
            Outside::Map => &mut self.map,
            Outside::Log => &mut self.log,
        };
        *known = why.map(|why| (now, why));
    }

    /// What the heart is to know now.
    pub(super) fn lasting(&self, now: Timestamp) -> Vec<Input<'static>> {
        let all = [(Outside::Map, &self.map), (Outside::Log, &self.log)];
        let lasting = all.into_iter().filter_map(|(of, trouble)| {
            let (since, why) = trouble.as_ref()?;
            let lasts = now.duration_since(*since) >= LASTS;
            lasts.then(|| Input::Trouble(of, Some(why.as_str().into())))
        });
        lasting.collect()
    }
}
