//! A document becomes a PDF/A-3 whose attachments come out byte for byte; read back with Poppler, not with our own code.

use breachclock_report_pdf::print;
use std::path::Path;
use std::process::Command;

const DOCUMENT: &str = include_str!("document.json");

fn attached() -> [(&'static str, &'static [u8]); 2] {
    [("bundle.json", b"{\n\"format\":\"breachclock-bundle-v1\"\n}\n"), ("checkpoint.txt", b"log\n13\nroot\n")]
}

fn run(program: &str, args: &[&str], dir: &Path) -> String {
    let done = Command::new(program).args(args).current_dir(dir).output().expect("Poppler's tools are installed");
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn the_printed_report() {
    let printed = print(DOCUMENT.as_bytes(), &attached()).expect("it can be printed");
    let again = print(DOCUMENT.as_bytes(), &attached()).expect("it can be printed");
    assert_eq!(printed, again, "the same document gives the same bytes");

    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("report.pdf"), &printed).expect("written");
    if let Ok(place) = std::env::var("BREACHCLOCK_KEEP_PDF") {
        std::fs::write(place, &printed).expect("written");
    }
    let info = run("pdfinfo", &["-isodates", "report.pdf"], dir.path());
    for wanted in ["Tagged:          yes", "JavaScript:      no", "2026-03-02T09:28:00"] {
        assert!(info.contains(wanted), "`{wanted}` in\n{info}");
    }
    let meta = run("pdfinfo", &["-meta", "report.pdf"], dir.path());
    for wanted in
        ["<pdfaid:part>3</pdfaid:part>", "<pdfaid:conformance>A</pdfaid:conformance>", "<pdfuaid:part>1</pdfuaid:part>"]
    {
        assert!(meta.contains(wanted), "`{wanted}` in\n{meta}");
    }
    let text =
        run("pdftotext", &["-layout", "report.pdf", "-"], dir.path()).split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "$#[injected] #{evil} *x*",
        "Ostrel Cloud SAS",
        "Do 5. März 2026, 11:00 CET",
        "CNIL",
        "Seite 1 / 1",
        "\u{25a1}\u{25a1}\u{25a1}, русский",
        "report.html zeigt ihn",
    ] {
        assert!(text.contains(wanted), "`{wanted}` in\n{text}");
    }
    run("pdfdetach", &["-saveall", "report.pdf"], dir.path());
    for (name, bytes) in attached() {
        assert_eq!(std::fs::read(dir.path().join(name)).expect("attached"), bytes, "{name}");
    }
}

#[test]
fn what_is_no_document_is_refused_in_words() {
    let refused = |text: &str| print(text.as_bytes(), &[]).expect_err("refused");
    assert!(refused("{").contains("no JSON"));
    assert!(refused("{}").contains("made_at"));
    assert!(refused(r#"{"made_at": "2026-03-02T09:28:00Z"}"#).contains("title"));
    let odd = DOCUMENT.replace("\"kind\": \"code\"", "\"kind\": \"picture\", \"svg\": \"<svg\", \"alt\": \"x\"");
    assert!(!refused(&odd).is_empty());
}
