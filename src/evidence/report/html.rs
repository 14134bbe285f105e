//! A document as one HTML file: no script, nothing loaded, prints on A4. Every text is escaped here.

use super::document::{Block, Cell, Document, Line, Style};
use std::fmt::Write as _;

const CSS: &str = include_str!("../bundle/report.css");

/// The page.
pub fn html(document: &Document) -> String {
    let mut page = Page::default();
    page.cover(document);
    document.blocks.iter().for_each(|block| page.block(block));
    format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"generator\" content=\"{}\">\n<title>{}, {}</title>\n<style>\n{CSS}</style>\n</head>\n\
         <body>\n<main>\n{}</main>\n</body>\n</html>\n",
        esc(&document.lang),
        esc(&document.generator),
        esc(&document.reference),
        esc(if document.basis.is_empty() { &document.title } else { &document.basis }),
        page.out
    )
}

#[derive(Default)]
struct Page {
    out: String,
}

impl Page {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("writing to a string succeeds");
    }

    fn cover(&mut self, document: &Document) {
        let made: Vec<String> = document.made.iter().map(|line| esc(line)).collect();
        self.put(format_args!(
            "<div class=\"cover\"><div><p class=\"soft\">{}</p><h1>{}</h1><p class=\"soft\">{}</p></div>\n\
             <p class=\"small soft\">{}</p></div>\n<dl class=\"facts4\">",
            esc(&document.basis),
            esc(&document.title),
            esc(&document.about),
            made.join("<br>"),
        ));
        for figure in &document.figures {
            let (label, value, note) = (esc(&figure.label), esc(&figure.value), esc(&figure.note));
            self.put(format_args!("<div><dt>{label}</dt><dd>{value}<small>{note}</small></dd></div>"));
        }
        self.put(format_args!("</dl>\n"));
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Section { number, title } => self.put(format_args!("<h2>{number}. {}</h2>\n", esc(title))),
            Block::Heading { text } => self.put(format_args!("<h3>{}</h3>\n", esc(text))),
            Block::Text { text, aside: false } => self.put(format_args!("<p>{}</p>\n", esc(text))),
            Block::Text { text, aside: true } => {
                self.put(format_args!("<p class=\"small soft\">{}</p>\n", esc(text)));
            }
            Block::Table { heads, rows, dense } => self.table(heads, rows, *dense),
            // made by `picture.rs`, which escapes its texts
            Block::Picture { svg, .. } => self.put(format_args!("<div class=\"tw\">{svg}</div>\n")),
            Block::Code { text } => self.put(format_args!("<pre>{}</pre>\n", esc(text))),
            Block::Pairs { rows } => {
                self.put(format_args!("<dl class=\"kv\">"));
                for (name, value) in rows {
                    self.put(format_args!("<dt>{}</dt><dd>{}</dd>", esc(name), lines(value)));
                }
                self.put(format_args!("</dl>\n"));
            }
        }
    }

    fn table(&mut self, heads: &[String], rows: &[Vec<Cell>], dense: bool) {
        let class = if dense { "loglist" } else { "" };
        self.put(format_args!("<div class=\"tw\"><table class=\"{class}\"><thead><tr>"));
        heads.iter().for_each(|head| self.put(format_args!("<th scope=\"col\">{}</th>", esc(head))));
        self.put(format_args!("</tr></thead><tbody>\n"));
        for row in rows {
            self.put(format_args!("<tr>"));
            row.iter().for_each(|cell| self.put(format_args!("<td>{}</td>", lines(cell))));
            self.put(format_args!("</tr>\n"));
        }
        self.put(format_args!("</tbody></table></div>\n"));
    }
}

fn lines(cell: &Cell) -> String {
    cell.iter().map(line).collect::<Vec<_>>().join("<br>")
}

fn line(line: &Line) -> String {
    let text = match &line.at {
        Some(at) => format!("<time datetime=\"{}\">{}</time>", esc(at), esc(&line.text)),
        None => esc(&line.text),
    };
    match line.style {
        Style::Plain => text,
        Style::Faint => format!("<span class=\"faint\">{text}</span>"),
        Style::Hash => format!("<span class=\"hash\">{text}</span>"),
    }
}

/// HTML-escapes text for content and double-quoted attributes.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
