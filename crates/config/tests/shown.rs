//! What `check-config` shows of a key is TOML that says the same.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use config::Config;

fn shown(text: &str, name: &str) -> String {
    let config = Config::of_text(Path::new("/nonexistent/trytlsd.toml"), text).unwrap();
    config.shown().into_iter().find(|key| key.name == name).unwrap().value
}

#[test]
fn a_value_reads_back_as_it_was() {
    let check = |section: &str, key: &str, value: &str, expect: &str| {
        let name = format!("[{section}] {key}");
        assert_eq!(shown(&format!("[{section}]\n{key} = {value}\n"), &name), expect);
        assert_eq!(shown(&format!("[{section}]\n{key} = {expect}\n"), &name), expect);
    };
    check("access", "makemap", "'a\\\"b'", r#""a\\\"b""#);
    check("access", "makemap", r#""a\u007fb\u0000\n\u00e4""#, "\"a\\u007fb\\u0000\\n\u{e4}\"");
    check("access", "command", "[ 'make', '-C' ]", r#"["make","-C"]"#);
    check("policy", "window", "\"90m\"", "\"1h30m\"");
    check("guards", "burst_share", "1", "1.0");
    check("dns", "servers", r#"["::1", "192.0.2.1:54"]"#, r#"["[::1]:53","192.0.2.1:54"]"#);
}
