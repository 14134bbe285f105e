//! The typesetter's world: one layout, one document, the files to attach, fonts compiled in. Nothing else exists.

use std::sync::LazyLock;
use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};

const LAYOUT: &str = include_str!("report.typ");

/// Every font there is.
pub static FONTS: LazyLock<Vec<Font>> =
    LazyLock::new(|| typst_assets::fonts().flat_map(|bytes| Font::iter(Bytes::new(bytes))).collect());

pub struct Closed {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    main: Source,
    files: Vec<(FileId, Bytes)>,
}

impl Closed {
    pub fn new(document: &[u8], attached: &[(&str, &[u8])]) -> Closed {
        let names: Vec<&str> = attached.iter().map(|(name, _)| *name).collect();
        let names = serde_json::to_vec(&names).expect("names have a JSON form");
        let mut files =
            vec![(id("/.document.json"), Bytes::new(document.to_vec())), (id("/.attached.json"), Bytes::new(names))];
        files.extend(attached.iter().map(|(name, bytes)| (id(&format!("/{name}")), Bytes::new(bytes.to_vec()))));
        Closed {
            library: LazyHash::new(Library::default()),
            book: LazyHash::new(FontBook::from_fonts(FONTS.iter())),
            main: Source::new(id("/report.typ"), LAYOUT.to_string()),
            files,
        }
    }
}

impl Closed {
    /// The line of the layout at a byte of it, from 1.
    pub fn line_of(&self, byte: usize) -> usize {
        LAYOUT.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
    }
}

/// # Panics
/// For a name that leaves the root: ours never do.
fn id(path: &str) -> FileId {
    let path = VirtualPath::new(path).expect("a plain name");
    RootedPath::new(VirtualRoot::Project, path).intern()
}

impl World for Closed {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.main.id()
    }

    fn source(&self, wanted: FileId) -> FileResult<Source> {
        if wanted == self.main.id() { Ok(self.main.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, wanted: FileId) -> FileResult<Bytes> {
        let found = self.files.iter().find(|(id, _)| *id == wanted);
        found.map(|(_, bytes)| bytes.clone()).ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        FONTS.get(index).cloned()
    }

    /// There is no clock: the report's date is in the document.
    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}
