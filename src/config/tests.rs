use std::{io::Write, path::Path, time::Duration};

use super::{Config, ConfigError, Sink};

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("c.yaml"), text)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

const FULL: &str = "
concurrency: 3
sinks:
  oncall: {alertmanager: {url: 'http://alertmanager:9093/base/'}}
  chat: {webhook: {url: 'https://hooks.example.org/T0/secret', authorizationFile: /run/chat}}
heartbeat: {every: 90s, sinks: [oncall]}
";

#[test]
fn everything_may_be_left_out() {
    for text in ["", "# nothing yet\n", "{}", "---\n"] {
        assert_eq!(parse(text).unwrap(), Config::default(), "{text}");
    }
}

#[test]
fn a_full_file_is_understood() {
    let config = parse(FULL).unwrap();
    assert_eq!(config.concurrency, 3);
    assert!(matches!(&config.sinks["oncall"], Sink::Alertmanager(at) if at.url.path() == "/base/"));
    assert!(matches!(&config.sinks["chat"], Sink::Webhook(at) if at.authorization_file.is_some()));
    let heartbeat = config.heartbeat.unwrap();
    assert_eq!((heartbeat.every, heartbeat.sinks), (Duration::from_secs(90), vec!["oncall".to_owned()]));
}

#[test]
fn a_heartbeat_is_every_minute_unless_told_otherwise() {
    let text = "sinks: {a: {webhook: {url: 'http://a'}}}\nheartbeat: {sinks: [a]}";
    assert_eq!(parse(text).unwrap().heartbeat.unwrap().every, Duration::from_secs(60));
}

#[test]
fn what_is_printed_holds_no_secret_path() {
    let printed = format!("{:?}", parse(FULL).unwrap());
    assert!(printed.contains("https://hooks.example.org") && !printed.contains("secret"), "{printed}");
}

/// A sink with this endpoint.
fn webhook(endpoint: &str) -> String {
    format!("sinks: {{a: {{webhook: {{{endpoint}}}}}}}")
}

#[test]
fn refusals_name_the_file_the_place_and_the_remedy() {
    let beat = |heartbeat: &str| format!("sinks: {{a: {{webhook: {{url: 'http://a'}}}}}}\nheartbeat: {heartbeat}");
    let cases = [
        (
            "sink: {}".to_owned(),
            "top level: unknown field `sink`, expected one of `concurrency`, `sinks`, `heartbeat`",
        ),
        ("[1]".to_owned(), "top level: "),
        ("concurrency: 0".to_owned(), "concurrency: write a whole number from 1 to 64"),
        ("concurrency: many".to_owned(), "concurrency: invalid type"),
        ("sinks: {Pager: {}}".to_owned(), "sinks: `Pager` is no name: write 1 to 63 of a-z, 0-9 and -"),
        ("sinks: {a: {}}".to_owned(), "sinks.a: write exactly one of"),
        (
            "sinks: {a: {webhook: {url: 'http://a'}, alertmanager: {url: 'http://a'}}}".to_owned(),
            "sinks.a: write exactly one of",
        ),
        (
            "sinks: {a: {slack: {}}}".to_owned(),
            "sinks.a: unknown field `slack`, expected `webhook` or `alertmanager`",
        ),
        (webhook("uri: x"), "sinks.a.webhook: unknown field `uri`, expected `url` or `authorizationFile`"),
        (webhook("authorizationFile: /x"), "sinks.a.webhook: missing field `url`"),
        (
            webhook("url: hooks.example.org"),
            "sinks.a.webhook.url: relative URL without a base: write an address such as",
        ),
        (webhook("url: 'file:///etc/passwd'"), "sinks.a.webhook.url: write an address that begins with https://"),
        (webhook("url: 'https://me:pw@a'"), "sinks.a.webhook.url: an address holds no credentials"),
        (webhook("url: 'https://me@a'"), "sinks.a.webhook.url: an address holds no credentials"),
        (webhook("url: 'https://a/#b'"), "sinks.a.webhook.url: write the address without its #fragment"),
        (
            webhook("url: 'http://a', authorizationFile: token"),
            "sinks.a.webhook.authorizationFile: write an absolute path",
        ),
        (
            "sinks: {a: {alertmanager: {url: 'http://a/api/v2/alerts'}}}".to_owned(),
            "sinks.a.alertmanager.url: write Alertmanager's base address",
        ),
        (beat("{every: 1h1h, sinks: [a]}"), "heartbeat.every: `1h1h` is no duration"),
        (beat("{every: 60, sinks: [a]}"), "heartbeat.every: invalid type"),
        (beat("{every: 0s, sinks: [a]}"), "heartbeat.every: write a duration from 5s to 24h"),
        (beat("{every: 99999999h, sinks: [a]}"), "heartbeat.every: write a duration from 5s to 24h"),
        (beat("{sinks: []}"), "heartbeat.sinks: write the name of at least one sink"),
        (beat("{sinks: [b]}"), "heartbeat.sinks: `b` is no sink: write one of [a]"),
        (beat("{}"), "heartbeat: missing field `sinks`"),
    ];
    for (text, words) in cases {
        let refusal = refusal(&text);
        assert!(refusal.starts_with("failed to accept the configuration c.yaml: "), "{refusal}");
        assert!(refusal.contains(words), "{text}: {refusal}");
    }
}

#[test]
fn a_key_written_twice_is_refused() {
    let refusal = refusal("sinks: {a: {webhook: {url: 'http://a'}}, a: {webhook: {url: 'http://b'}}}");
    assert!(refusal.starts_with("failed to parse the configuration c.yaml as YAML: "), "{refusal}");
    assert!(refusal.contains("duplicate"), "{refusal}");
}

#[test]
fn broken_yaml_is_refused_with_its_line() {
    let refusal = refusal("sinks:\n  a: [\n");
    assert!(refusal.contains("line"), "{refusal}");
}

#[test]
fn a_file_that_somebody_named_must_exist() {
    let error = Config::load(Some(Path::new("/nonexistent/mainstay.yaml"))).unwrap_err();
    assert!(
        error.to_string().starts_with("failed to read the configuration /nonexistent/mainstay.yaml: "),
        "{error}"
    );
}

#[test]
fn a_file_is_read_up_to_a_limit() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(FULL.as_bytes()).unwrap();
    assert_eq!(Config::load(Some(file.path())).unwrap(), parse(FULL).unwrap());
    file.write_all(&vec![b'#'; 1024 * 1024]).unwrap();
    let error = Config::load(Some(file.path())).unwrap_err();
    assert!(error.to_string().contains("more than 1 MiB"), "{error}");
}
