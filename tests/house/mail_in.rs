//! Mail that comes back, as servers and people write it: `tests/vectors/mail_in/*.eml`, and beside each what we read in it.

use breachclock::ingest::mail_in::{Answer, Inbound, News, Notice, read};
use std::path::Path;

/// What was read, as the `.want` files have it.
fn written(inbound: &Inbound) -> String {
    let mut lines = Vec::new();
    let notice = |lines: &mut Vec<String>, kind: &str, notice: &Notice| {
        lines.push(format!("news: {kind}"));
        lines.push(format!("status: {}", notice.status.as_deref().unwrap_or("-")));
        lines.push(format!("words: {}", notice.words));
    };
    match &inbound.news {
        News::Failed(n) => notice(&mut lines, "failed", n),
        News::Delayed(n) => notice(&mut lines, "delayed", n),
        News::Delivered(n) => notice(&mut lines, "delivered", n),
        News::Relayed(n) => notice(&mut lines, "relayed", n),
        News::Displayed => lines.push("news: displayed".into()),
        News::Disposed(word) => lines.push(format!("news: disposed, {word}")),
        News::Automatic(subject) => lines.push(format!("news: automatic\nwords: {subject}")),
        News::Reply { answer, to, words } => {
            lines.push(match answer {
                Answer::Take { lease_seconds: None } => "news: reply, take".into(),
                Answer::Take { lease_seconds: Some(seconds) } => format!("news: reply, take for {seconds} s"),
                Answer::Decline => "news: reply, decline".into(),
                Answer::Other => "news: reply".to_string(),
            });
            lines.push(format!("words: {words}"));
            lines.extend(to.iter().map(|id| format!("to: {id}")));
        }
    }
    lines.push(format!("from: {}", inbound.from.as_deref().unwrap_or("-")));
    lines.extend(inbound.about.iter().map(|id| format!("about: {id}")));
    lines.join("\n") + "\n"
}

#[test]
fn every_mail_is_read_as_wanted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/mail_in");
    let mut mails: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "eml"))
        .collect();
    mails.sort();
    assert!(mails.len() >= 30, "{} mails", mails.len());
    let mut faults = Vec::new();
    for path in mails {
        let raw = std::fs::read(&path).expect("readable");
        let got = read(&raw).map_or_else(|error| format!("error: {error}\n"), |inbound| written(&inbound));
        let want = std::fs::read_to_string(path.with_extension("want")).unwrap_or_default();
        if got != want {
            faults.push(format!("{}:\n--- wanted\n{want}--- read\n{got}", path.display()));
        }
        // the same mail from a maildir has no carriage returns
        let plain: Vec<u8> = raw.iter().copied().filter(|byte| *byte != b'\r').collect();
        if read(&plain) != read(&raw) {
            faults.push(format!("{}: reads otherwise with LF alone", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_no_mail_is_refused() {
    for raw in [&b""[..], b"\r\n\r\n", b"hello\nworld\n", b"\x00\xff\xfe\x00", b"{\"json\": true}"] {
        assert!(read(raw).is_err(), "{:?}", String::from_utf8_lossy(raw));
    }
}

#[test]
fn a_broken_mail_is_read_as_far_as_it_goes() {
    let whole =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/mail_in/postfix-unknown-user.eml"))
            .expect("readable");
    // cut at every place: never a panic, and never good news out of a bad one
    for end in 0..whole.len() {
        if let Ok(inbound) = read(&whole[..end]) {
            let good = matches!(inbound.news, News::Delivered(_) | News::Displayed)
                || matches!(inbound.news, News::Reply { answer: Answer::Take { .. }, .. });
            assert!(!good, "cut at {end}: {inbound:?}");
        }
    }
}
