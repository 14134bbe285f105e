//! Drafts of statutory notices: a form as data and what is known become a text with its gaps marked.
//!
//! Absent here: files, clocks, names of laws (forms are data under `jurisdictions/forms`), and any way to send: a draft is
//! read by people, who give the notice themselves. Nothing is guessed; what no fact says stays a gap.

mod blocks;
mod docx;
mod forms;
mod notice;
mod own;
mod read;
mod value;
mod words;

pub use blocks::{Block, Run, blocks, text};
pub use docx::docx;
pub use forms::{Asked, Form, Forms, Kind};
pub use notice::{Earlier, Notice, NoticeField, Part, SourceRef, State, checklist, make};
pub use own::{Case, Contact, OWN, Told};
pub use read::{Fault, FormText, read};
