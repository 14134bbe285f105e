//! Letters that no font compiled in has: a name in an unexpected script must not cost the whole report.
//!
//! They are shown as an empty box, and the report says so; `report.html` shows them as they are.

use super::world::FONTS;
use serde_json::{Value, json};

const BOX: char = '\u{25a1}';

/// Replaces them in every text of the document. Says whether there were any.
pub fn replace_unknown(value: &mut Value) -> bool {
    match value {
        Value::String(text) if text.chars().any(|c| !is_known(c)) => {
            *text = text.chars().map(|c| if is_known(c) { c } else { BOX }).collect();
            true
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, item| replace_unknown(item) | any),
        Value::Object(members) => members.values_mut().fold(false, |any, member| replace_unknown(member) | any),
        _ => false,
    }
}

/// Puts the document's own sentence about boxes before its first block.
pub fn say_so(document: &mut Value) {
    let sentence = document["boxes"].clone();
    if let Some(blocks) = document["blocks"].as_array_mut() {
        blocks.insert(0, json!({ "kind": "text", "text": sentence, "aside": true }));
    }
}

fn is_known(c: char) -> bool {
    // white space, and marks without a form of their own, need no letter
    let is_formless = matches!(c, '\n' | '\t' | ' ' | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{2060}');
    is_formless || FONTS.iter().any(|font| font.info().coverage.contains(u32::from(c)))
}
