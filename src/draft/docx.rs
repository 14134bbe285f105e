//! A draft as a Word document (ECMA-376, WordprocessingML): the least a reader needs, and the same bytes for the same draft.
//!
//! Absent: fields, links, macros, authors and dates of the file.

use super::blocks::{Block, Run};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/><Override PartName="/word/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/></Types>"#;

const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;

const DOCUMENT_RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#;

const STYLES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:docDefaults><w:rPrDefault><w:rPr><w:rFonts w:ascii="Calibri" w:hAnsi="Calibri" w:cs="Calibri"/><w:sz w:val="22"/></w:rPr></w:rPrDefault><w:pPrDefault><w:pPr><w:spacing w:after="120"/></w:pPr></w:pPrDefault></w:docDefaults><w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style><w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/><w:basedOn w:val="Normal"/><w:rPr><w:b/><w:sz w:val="34"/></w:rPr></w:style><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:basedOn w:val="Normal"/><w:pPr><w:keepNext/><w:spacing w:before="280" w:after="80"/><w:outlineLvl w:val="0"/></w:pPr><w:rPr><w:b/><w:sz w:val="26"/></w:rPr></w:style><w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="heading 2"/><w:basedOn w:val="Normal"/><w:pPr><w:keepNext/><w:spacing w:before="160" w:after="20"/><w:outlineLvl w:val="1"/></w:pPr><w:rPr><w:b/></w:rPr></w:style><w:style w:type="paragraph" w:styleId="Note"><w:name w:val="Note"/><w:basedOn w:val="Normal"/><w:pPr><w:spacing w:after="20"/></w:pPr><w:rPr><w:color w:val="5D6772"/><w:sz w:val="18"/></w:rPr></w:style></w:styles>"#;

/// The document as the bytes of a `.docx` file. `language` is that of its text, ISO 639-1.
pub fn docx(blocks: &[Block], language: &str) -> Vec<u8> {
    const BROKEN: &str = "writing into memory does not fail";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let body = document(blocks, language);
    // the list of types comes first: readers look for it there
    let files = [
        ("[Content_Types].xml", TYPES),
        ("_rels/.rels", RELATIONS),
        ("word/document.xml", body.as_str()),
        ("word/_rels/document.xml.rels", DOCUMENT_RELATIONS),
        ("word/styles.xml", STYLES),
    ];
    for (name, text) in files {
        zip.start_file(name, options).expect(BROKEN);
        zip.write_all(text.as_bytes()).expect(BROKEN);
    }
    zip.finish().expect(BROKEN).into_inner()
}

fn document(blocks: &[Block], language: &str) -> String {
    let mut xml = String::from(
        r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>"#,
    );
    let mut writer = Writer { xml: &mut xml, language };
    for block in blocks {
        match block {
            Block::Mark(mark) => writer.paragraph("Note", &[Run::Gap(mark.clone())]),
            Block::Title(title) => writer.paragraph("Title", &[Run::Text(title.clone())]),
            Block::About(name, value) => writer.paragraph("Normal", &[Run::Text(format!("{name}: {value}"))]),
            Block::Heading(heading) => writer.paragraph("Heading1", &[Run::Text(heading.clone())]),
            Block::Paragraph(runs) => writer.paragraph("Normal", runs),
            Block::Field { head, question, answer, notes } => {
                writer.paragraph("Heading2", &[Run::Text(head.clone())]);
                if !question.is_empty() {
                    writer.paragraph("Note", &[Run::Text(question.clone())]);
                }
                for runs in answer {
                    writer.paragraph("Normal", runs);
                }
                for note in notes {
                    writer.paragraph("Note", &[Run::Text(note.clone())]);
                }
            }
            Block::Aside(head) => {
                writer.xml.push_str(r#"<w:p><w:r><w:br w:type="page"/></w:r></w:p>"#);
                writer.paragraph("Heading1", &[Run::Text(head.clone())]);
            }
            Block::Note(note) => writer.paragraph("Note", &[Run::Text(note.clone())]),
        }
    }
    xml.push_str(
        r#"<w:sectPr><w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1134" w:right="1134" w:bottom="1134" w:left="1134" w:header="567" w:footer="567" w:gutter="0"/></w:sectPr></w:body></w:document>"#,
    );
    xml
}

struct Writer<'x> {
    xml: &'x mut String,
    language: &'x str,
}

impl Writer<'_> {
    fn paragraph(&mut self, style: &str, runs: &[Run]) {
        self.xml.push_str(&format!(r#"<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>"#));
        for run in runs {
            let (text, is_gap) = match run {
                Run::Text(text) => (text, false),
                Run::Gap(gap) => (gap, true),
            };
            let mark = if is_gap { r#"<w:b/><w:highlight w:val="yellow"/>"# } else { "" };
            self.xml.push_str(&format!(r#"<w:r><w:rPr>{mark}<w:lang w:val="{}"/></w:rPr>"#, escaped(self.language)));
            let brackets = if is_gap { ("[", "]") } else { ("", "") };
            let text = format!("{}{text}{}", brackets.0, brackets.1);
            for (at, line) in text.split('\n').enumerate() {
                if at > 0 {
                    self.xml.push_str("<w:br/>");
                }
                self.xml.push_str(&format!(r#"<w:t xml:space="preserve">{}</w:t>"#, escaped(line)));
            }
            self.xml.push_str("</w:r>");
        }
        self.xml.push_str("</w:p>");
    }
}

/// Text as XML 1.0 may hold it; characters it may not hold become the replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\r' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
