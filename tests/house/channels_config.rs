//! `[[channel]]` tables and people's addresses in a configuration: faults with their line, as data.

use breachclock::config::load;
use std::path::Path;

/// What a file yields: the loaded configuration, or its faults.
fn read(dir: &Path, text: &str) -> Result<breachclock::config::Config, Vec<String>> {
    let file = dir.join("c.toml");
    std::fs::write(&file, text).expect("writable");
    load(&file).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

const HEAD: &str = "[data]\ndir = \"d\"\n";

#[test]
fn channels_are_read_with_their_secrets_and_addresses() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("hook"), "https://hooks.slack.example/services/T0/B0/x\n").expect("writable");
    let text = format!(
        "{HEAD}
[[channel]]
id = \"ops-room\"
kind = \"slack\"
url = \"file:hook\"
allow_hosts = [\"hooks.slack.example\"]
[[channel]]
id = \"sms\"
kind = \"sms\"
url = \"https://sms.example.org/v1\"
headers = {{ Authorization = \"Bearer {{secret}}\", Content-Type = \"application/json\" }}
secret = \"s3cret-value\"
body = '{{\"to\": \"{{to}}\", \"text\": \"{{text}}\"}}'
[[person]]
id = \"lea\"
name = \"Lea\"
email = \"lea@acme.example\"
addresses = {{ sms = \"+33612345678\" }}
"
    );
    let config = read(dir.path(), &text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let [room, sms] = config.channels.as_slice() else { panic!("{:?}", config.channels) };
    assert_eq!(room.values["url"].expose(), "https://hooks.slack.example/services/T0/B0/x");
    assert_eq!((room.is_place(), sms.is_place()), (true, false), "no number of its own: people only");
    assert!(room.check_address(None).is_ok() && sms.check_address(None).is_err());
    assert_eq!(config.directory.people[0].addresses["sms"], "+33612345678");
    assert!(!format!("{config:?}").contains("s3cret-value"));
    let settings = breachclock::daemon::open::notify_settings(&config);
    assert_eq!(settings.channels.len(), 2);
}

#[test]
fn a_fault_has_its_line_and_says_what_to_write() {
    let dir = tempfile::tempdir().expect("a folder");
    // each begins at line 3 of the file
    let cases = [
        ("[[channel]]\nkind = \"slack\"", "c.toml:3: a channel needs `id`; write `id = \"ops-room\"`"),
        ("[[channel]]\nid = \"a\"\n", "c.toml:3: a channel needs `kind`; write `kind = \"slack\"` or `\"teams\"`"),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slak\"",
            "c.toml:5: `slak` is no kind of channel; there are `slack`, `teams`, `mattermost`, `pagerduty`, `opsgenie`, `ntfy`, `sms`; did you mean `slack`?",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"",
            "c.toml:3: channel `a`, `url`: is missing; kind `slack` needs `url = \"credential:slack-url\"`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"https://x.example/\"\nrouting_key = \"k\"",
            "c.toml:7: channel `a`, `routing_key`: `routing_key` is a setting of kind `pagerduty`; kind `slack` takes `url`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"https://x.example/\"\nurll = \"k\"",
            "c.toml:7: channel `a`, `urll`: `urll` is no setting of a channel; kind `slack` takes `url`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"https://x.example/\"\nheaders = { X = \"y\" }",
            "c.toml:7: channel `a`, `headers`: `headers` is a setting of kind `sms`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"http://x.example/secret\"",
            "c.toml:6: channel `a`, `url`: `http://x.example/…` is not encrypted",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"https://10.0.0.1/\"",
            "c.toml:6: channel `a`, `url`: `10.0.0.1` is a private address; set `allow_private = true`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"\nallow_hosts = [\"y.example\"]\nurl = \"https://x.example/\"",
            "c.toml:7: channel `a`, `url`: `x.example` is not among `allow_hosts`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"\nallow_hosts = \"y.example\"\nurl = \"https://x.example/\"",
            "c.toml:6: `allow_hosts` is a text; write a list of host names",
        ),
        ("[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = 4", "c.toml:6: `url` is a number; write a text"),
        ("[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"file:none\"", "none` cannot be read"),
        (
            "[[channel]]\nid = \"a b\"\nkind = \"slack\"\nurl = \"https://x.example/\"",
            "c.toml:4: channel `a b`, `id`: `a b` is no id",
        ),
        (
            "[[channel]]\nid = \"email\"\nkind = \"slack\"\nurl = \"https://x.example/\"",
            "c.toml:4: channel `email`, `id`: `email` is a word of policies",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"pagerduty\"\nrouting_key = \"short\"",
            "c.toml:6: channel `a`, `routing_key`: has another form; copy the integration key",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"ntfy\"\ntopic = \"a/b\"",
            "c.toml:6: channel `a`, `topic`: `a/b` is no topic",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"sms\"\nurl = \"https://x.example/\"\nheaders = { Content-Type = \"application/json\" }\nbody = '{\"to\": \"{to}\", \"text\": \"{txt}\"}'",
            "c.toml:8: channel `a`, `body`: `{txt}` is no variable; there are `{to}`, `{text}`, `{id}`, `{secret}`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"sms\"\nurl = \"https://x.example/\"\nheaders = { Content-Type = \"application/json\" }\nbody = '{\"to\": {to}, \"text\": {text}}'",
            "c.toml:8: channel `a`, `body`: is not JSON once its variables are filled; put them between double quotes",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"sms\"\nurl = \"https://x.example/\"\nbody = 'to={to}&text={text}'",
            "channel `a`, `headers`: `body` has no content type",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"sms\"\nurl = \"https://x.example/?t={text}\"",
            "channel `a`, `body`: `{to}` stands nowhere; put it into `body` or `url`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"sms\"\nurl = \"https://{to}.example/?t={text}\"",
            "c.toml:6: channel `a`, `url`: has a variable in its host",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"sms\"\nurl = \"https://x.example/?to={to}&t={text}&k={secret}\"",
            "channel `a`, `secret`: is missing; a template uses `{secret}`",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"sms\"\nmethod = \"PATCH\"\nurl = \"https://x.example/?to={to}&t={text}\"",
            "c.toml:6: channel `a`, `method`: `PATCH` is not a method here",
        ),
        (
            "[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"https://x.example/\"\n[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"https://x.example/\"",
            "c.toml:8: the channel id `a` is used twice",
        ),
    ];
    for (text, words) in cases {
        let faults = read(dir.path(), &format!("{HEAD}{text}\n")).err().unwrap_or_else(|| panic!("accepted: {text}"));
        assert!(faults.iter().any(|fault| fault.contains(words)), "{text}\n{faults:#?}");
        assert!(faults.iter().all(|fault| !fault.contains("/secret")), "{faults:?}");
    }
}

#[test]
fn an_address_belongs_to_a_channel_and_has_its_form() {
    let dir = tempfile::tempdir().expect("a folder");
    let channels = "[[channel]]
id = \"sms\"
kind = \"sms\"
url = \"https://x.example/?to={to}&t={text}\"
[[channel]]
id = \"push\"
kind = \"ntfy\"
[[channel]]
id = \"room\"
kind = \"slack\"
url = \"https://x.example/\"
[[channel]]
id = \"chat\"
kind = \"mattermost\"
url = \"https://x.example/\"
";
    let cases = [
        ("sms = \"+33612345678\", push = \"lea-x7\", chat = \"@lea\"", ""),
        ("sms = \"0612345678\"", "address on `sms`: `0612345678` is no address for it; write \"+33612345678\""),
        ("sms = \"+33 6 12\"", "`+33 6 12` is no address"),
        ("push = \"a/b\"", "`a/b` is no address"),
        ("chat = \"lea\"", "`lea` is no address for it; write \"@lea\""),
        ("room = \"@lea\"", "kind `slack` writes where its settings say"),
        ("smss = \"+33612345678\"", "has an address on `smss`, which no [[channel]] describes; did you mean `sms`?"),
    ];
    for (addresses, words) in cases {
        let person = format!(
            "[[person]]\nid = \"lea\"\nname = \"Lea\"\nemail = \"lea@acme.example\"\naddresses = {{ {addresses} }}\n"
        );
        match read(dir.path(), &format!("{HEAD}{channels}{person}")) {
            Ok(_) => assert_eq!(words, "", "accepted: {addresses}"),
            Err(faults) => {
                let there = !words.is_empty() && faults.iter().any(|f| f.contains(words) && f.contains("c.toml:22:"));
                assert!(there, "{addresses}: {faults:?}");
            }
        }
    }
}

/// What an included file says is found there.
#[test]
fn a_fault_in_an_included_file_names_that_file() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("rooms.toml"), "\n[[channel]]\nid = \"a\"\nkind = \"slack\"\nurl = \"file:none\"\n")
        .expect("writable");
    let faults = read(dir.path(), &format!("include = [\"rooms.toml\"]\n{HEAD}")).expect_err("no such secret");
    assert!(faults[0].contains("rooms.toml:5: ") && faults[0].contains("none` cannot be read"), "{faults:?}");
}

/// The example's channels are commented out; without the marks they are what `config check` accepts.
#[test]
fn the_examples_commented_channels_are_right() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/breachclock.example.toml");
    let text = std::fs::read_to_string(example).expect("the example");
    let begin = text.find("# [[channel]]").expect("examples of channels");
    let end = text[begin..].find("\n\n[[entity]]").expect("entities follow") + begin;
    let block = text[begin..end].lines().filter_map(|line| line.strip_prefix("# ")).collect::<Vec<_>>();
    // credentials are there only in a service
    let mut block = block.join("\n");
    for (credential, value) in [
        ("credential:slack-url", "https://hooks.slack.example/services/x"),
        ("credential:teams-url", "https://prod.logic.example/workflows/x"),
        ("credential:mattermost-url", "https://chat.example.org/hooks/x"),
        ("credential:pagerduty-key", "0123456789abcdef0123456789abcdef"),
        ("credential:opsgenie-key", "eb243592"),
        ("credential:ntfy-token", "tk_x"),
        ("credential:sms-secret", "s"),
    ] {
        assert!(block.contains(credential), "{credential}");
        block = block.replace(credential, value);
    }
    let dir = tempfile::tempdir().expect("a folder");
    let config = read(dir.path(), &format!("{HEAD}{block}\n")).unwrap_or_else(|faults| panic!("{faults:#?}\n{block}"));
    assert_eq!(config.channels.len(), 7, "one of each kind");
}
