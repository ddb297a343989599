//! Any text as the config: an error says where it is, and what `check-config` shows is itself a config that says the same.

#![no_main]

use std::path::Path;

use config::{Config, Error, Shown};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let config = match read(text) {
        Ok(config) => config,
        Err(error) => {
            if let Error::Syntax { message, .. } = &error {
                assert!(message.contains("line "), "{message}");
            }
            assert!(error.to_string().contains("trytlsd.toml"), "{error}");
            return;
        }
    };
    let rules = config.rules();
    assert!(rules.min_span < rules.window && rules.failures > 0 && rules.max_relays > 0);
    assert_eq!(config.resolver().servers.len(), config.dns.servers.len());
    let shown = config.shown();
    let again = read(&toml(&shown)).expect("what is shown is a config").shown();
    let values = |shown: &[Shown]| -> Vec<(String, String)> {
        shown.iter().map(|key| (key.name.clone(), key.value.clone())).collect()
    };
    assert_eq!(values(&again), values(&shown));
});

fn read(text: &str) -> Result<Config, Error> {
    Config::of_text(Path::new("/nonexistent/trytlsd.toml"), text)
}

/// What is shown, as a file: the keys of a section stand together.
fn toml(shown: &[Shown]) -> String {
    let mut text = String::new();
    let mut section = "";
    for Shown { name, value, .. } in shown {
        let (of, key) = name.split_once(' ').unwrap_or(("", name));
        if of != section {
            text += &format!("{of}\n");
            section = of;
        }
        text += &format!("{key} = {value}\n");
    }
    text
}
