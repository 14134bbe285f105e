//! A report as blocks in reading order: what every renderer gets, and nothing it has to decide.
//!
//! Absent: escaping and layout (the renderers'), and the words (`words.rs`).

use serde::Serialize;

/// A whole report. Its JSON form is what the PDF renderer reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Language of the frame text: `en`, `de`, `fr`.
    pub lang: String,
    pub title: String,
    /// Above the title.
    pub basis: String,
    /// Under the title.
    pub about: String,
    /// Beside the title: for whom, made when, by whom.
    pub made: Vec<String>,
    /// `YYYY-MM-DDThh:mm:ssZ`: the document's date.
    pub made_at: String,
    /// Identifies the report in its running foot.
    pub reference: String,
    pub figures: Vec<Figure>,
    pub blocks: Vec<Block>,
    /// Name and version of the program.
    pub generator: String,
    /// Word before the page number.
    pub page_word: String,
    /// What an empty box in the printed report stands for.
    pub boxes: String,
}

/// One figure in the strip under the title.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figure {
    pub label: String,
    pub value: String,
    pub note: String,
}

/// A part of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Block {
    /// A numbered section begins.
    Section {
        number: u32,
        title: String,
    },
    /// A heading inside a section.
    Heading {
        text: String,
    },
    Text {
        text: String,
        /// Small and grey.
        aside: bool,
    },
    Table {
        heads: Vec<String>,
        rows: Vec<Vec<Cell>>,
        /// A list of hashes: set tighter.
        dense: bool,
    },
    /// A drawing, and the same in words for who does not see it.
    Picture {
        svg: String,
        alt: String,
    },
    /// Commands, line by line.
    Code {
        text: String,
    },
    Pairs {
        rows: Vec<(String, Cell)>,
    },
}

/// Lines of one cell.
pub type Cell = Vec<Line>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub text: String,
    pub style: Style,
    /// The instant the text names, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    Plain,
    /// Smaller and paler.
    Faint,
    /// Fixed width, may break anywhere.
    Hash,
}

impl Line {
    pub fn plain(text: impl Into<String>) -> Line {
        Line { text: text.into(), style: Style::Plain, at: None }
    }

    pub fn faint(text: impl Into<String>) -> Line {
        Line { text: text.into(), style: Style::Faint, at: None }
    }

    pub fn hash(text: impl Into<String>) -> Line {
        Line { text: text.into(), style: Style::Hash, at: None }
    }
}

/// A cell of one plain line.
pub fn cell(text: impl Into<String>) -> Cell {
    vec![Line::plain(text)]
}

/// Blocks, with sections numbered as they come.
#[derive(Debug, Default)]
pub struct Blocks {
    pub list: Vec<Block>,
    sections: u32,
}

impl Blocks {
    pub fn section(&mut self, title: &str) {
        self.sections += 1;
        self.list.push(Block::Section { number: self.sections, title: title.to_string() });
    }

    pub fn text(&mut self, text: impl Into<String>) {
        self.list.push(Block::Text { text: text.into(), aside: false });
    }

    pub fn aside(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.list.push(Block::Text { text, aside: true });
        }
    }

    pub fn heading(&mut self, text: impl Into<String>) {
        self.list.push(Block::Heading { text: text.into() });
    }

    pub fn rows(&mut self, heads: &[&str], rows: Vec<Vec<Cell>>, dense: bool) {
        self.list.push(Block::Table { heads: heads.iter().map(|head| head.to_string()).collect(), rows, dense });
    }

    /// A section with one table; nothing when there are no rows.
    pub fn table(&mut self, title: &str, heads: &[&str], rows: Vec<Vec<Cell>>) {
        if !rows.is_empty() {
            self.section(title);
            self.rows(heads, rows, false);
        }
    }
}
