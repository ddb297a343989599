//! The host as it is: what the config names, looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::{Config, MapType, ProveWay, RebuildWay, RemedyChoice};
use map_store::{Class, Rebuild, Settings};
use policy::fact::Answer;
use sendmail::cf::{Cf, MapLine};
use tracing::{info, warn};

use crate::output::Safe;
use crate::proof::Asked;

/// What sendmail's configuration says about the map.
pub(crate) struct Host {
    /// The class of the map.
    class: Class,
    /// The K line of the cf, or the member of its sequence, that names this very map.
    line: Option<MapLine>,
    /// What the cf says, if it could be read.
    cf: Result<Cf, String>,
}

impl Host {
    /// Looks.
    pub(crate) fn look(config: &Config) -> Self {
        let cf = Cf::read(&config.access.cf.0.0);
        Self::of(config, cf.map_err(|error| error.to_string()))
    }

    /// The host whose cf says this, or cannot be read.
    pub(crate) fn of(config: &Config, cf: Result<Cf, String>) -> Self {
        let map = &config.access.map.0.0;
        let line = cf.as_ref().ok().and_then(|cf| own_line(cf, map)).cloned();
        let class = match *config.access.r#type {
            MapType::Hash => Class::Hash,
            MapType::Btree => Class::Btree,
            MapType::Text => Class::Text,
            // One that cannot be built is taken for hash; the check "map-class" says so.
            MapType::Auto => {
                let named = line.as_ref().and_then(|line| line.class.parse().ok());
                named.unwrap_or(Class::Hash)
            }
        };
        Self { class, line, cf }
    }

    /// What the cf says, or why it could not be read.
    pub(crate) fn cf(&self) -> Result<&Cf, &str> {
        self.cf.as_ref().map_err(String::as_str)
    }

    /// The K line, or the member of its sequence, that names the config's map.
    pub(crate) fn line(&self) -> Option<&MapLine> {
        self.line.as_ref()
    }

    /// The other maps of the sequence that ours is in: the admin's own, where the access map is a sequence.
    pub(crate) fn beside(&self) -> Vec<&MapLine> {
        let Some(own) = &self.line else { return Vec::new() };
        let all = self.cf.as_ref().ok().and_then(|cf| cf.access.as_ref()).map(MapLine::leaves);
        all.unwrap_or_default().into_iter().filter(|line| *line != own).collect()
    }

    /// Looks, and gives what the guards need to know. May take as long as [`Host::known`].
    pub(crate) fn known_now(config: &Config) -> policy::host::Host {
        let host = Self::look(config);
        host.known(host.asked(config).as_ref())
    }

    /// What the guards need to know of this host. `asked`: the sendmail that may be asked for its own names. May take as
    /// long as that does.
    pub(crate) fn known(&self, asked: Option<&Asked>) -> policy::host::Host {
        let own = match &self.cf {
            Ok(cf) => own_names(cf, asked),
            Err(why) => Answer::Unknown(why.as_str().into()),
        };
        let says = |said: fn(&Cf) -> bool| self.cf.as_ref().is_ok_and(said);
        policy::host::Host {
            own,
            falls_back: says(|cf| cf.tls_fallback_to_clear),
            dane: says(|cf| cf.dane),
            no_fallback: self
                .cf
                .as_ref()
                .ok()
                .and_then(|cf| cf.falls_back_per_host().err())
                .map(Into::into),
        }
    }

    /// Whether this host can do what the config wants of it.
    ///
    /// # Errors
    /// The remedy is one that its sendmail does not know, and why.
    pub(crate) fn can_do(&self, config: &Config) -> anyhow::Result<()> {
        match (*config.entry.remedy, self.falls_back(config)) {
            (RemedyChoice::Fallback, Err(why)) => {
                anyhow::bail!("[entry] remedy = \"fallback\" cannot be used: {why}")
            }
            (RemedyChoice::Fallback | RemedyChoice::TryTls, _) => Ok(()),
        }
    }

    /// Whether sendmail can fall back for one relay.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(crate) fn falls_back(&self, config: &Config) -> Result<(), String> {
        let path = config.access.cf.0.0.display();
        let cf = self.cf.as_ref().map_err(Clone::clone)?;
        cf.falls_back_per_host().map_err(|why| format!("{path}: {why}"))
    }

    /// Whether there is a map beside the text.
    pub(crate) fn has_map(&self) -> bool {
        self.class != Class::Text
    }

    /// What the store of the map needs to know.
    pub(crate) fn settings(&self, config: &Config) -> Settings {
        let access = &config.access;
        Settings {
            access: access.file.0.0.clone(),
            map: access.map.0.0.clone(),
            class: self.class,
            rebuild: match *access.rebuild {
                RebuildWay::Replace => Rebuild::Replace,
                RebuildWay::Append => Rebuild::Append,
                RebuildWay::Command => Rebuild::Command(access.command.to_vec()),
                RebuildWay::None => Rebuild::None,
            },
            makemap: program_or_name(&access.makemap),
            cf: self.cf.is_ok().then(|| access.cf.0.0.clone()),
            timeout: access.timeout.to_std(),
        }
    }

    /// The name of this MTA in a fleet: as the config says, or else sendmail (`$j`). No guess: under two names one MTA would
    /// be two.
    ///
    /// # Errors
    /// If sendmail does not say it.
    pub(crate) fn name(&self, config: &Config) -> Result<String, String> {
        if !config.ldap.host.is_empty() {
            return Ok(config.ldap.host.to_string());
        }
        let asked = self.asked(config).ok_or("sendmail is not asked")?;
        let own = asked.own_names()?;
        own.j().map(str::to_owned).ok_or_else(|| "sendmail does not say its name".to_owned())
    }

    /// Whether sendmail asks the map that the config names: the file, or the directory of a fleet.
    fn asks_our_map(&self, config: &Config) -> bool {
        if !config.is_shared() {
            return self.line.is_some();
        }
        self.cf.as_ref().is_ok_and(|cf| cf.access_in_ldap().is_some())
    }

    /// The sendmail to be asked for proofs; none where it would answer for another map.
    pub(crate) fn asked(&self, config: &Config) -> Option<Asked> {
        let wanted = *config.access.prove == ProveWay::Auto && self.asks_our_map(config);
        wanted.then(|| Asked {
            program: program_or_name(&config.access.sendmail),
            cf: config.access.cf.0.0.clone(),
            timeout: config.access.timeout.to_std().min(sendmail::prove::TIMEOUT),
        })
    }
}

/// The host's own names: what the cf says, and what sendmail itself says, who knows what it found out at run time. They
/// are unknown if a file of names cannot be read and sendmail does not tell what stands in it.
fn own_names(cf: &Cf, asked: Option<&Asked>) -> Answer<BTreeSet<Box<str>>> {
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let (of_cf, troubles) = sendmail::own::of_cf(cf, &node);
    for trouble in &troubles {
        warn!("{}", Safe(trouble));
    }
    let mut names: BTreeSet<Box<str>> = of_cf.names().map(Into::into).collect();
    match (asked.map(Asked::own_names), troubles.into_iter().next()) {
        (Some(Ok(own)), _) => names.extend(own.names().map(Box::from)),
        (_, Some(trouble)) => return Answer::Unknown(trouble.into()),
        (Some(Err(why)), None) => {
            info!("sendmail did not say what its own names are: {}", Safe(&why));
        }
        (None, None) => {}
    }
    Answer::Known(names)
}

/// Where systems keep makemap and sendmail, looked at after PATH, which often lacks them for others than root.
const SYSTEM: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/lib"];

/// The program: a path as it is; a bare name as found in PATH, or where systems keep such programs.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(SYSTEM.map(PathBuf::from));
    folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
}

/// The path of the program, or its name as it is, for the error that says that it is not there.
pub(crate) fn program_or_name(name: &str) -> PathBuf {
    program(name).unwrap_or_else(|| PathBuf::from(name))
}

/// The K line, or the member of its sequence, that names the map.
fn own_line<'a>(cf: &'a Cf, map: &Path) -> Option<&'a MapLine> {
    let database = MapLine::db(map);
    let access = cf.access.as_ref()?;
    access.leaves().into_iter().find(|line| {
        line.path.as_ref().is_some_and(|path| path == map || MapLine::db(path) == database)
    })
}
