//! The contract register: `[[contract]]` tables and CSV files, read into one list. A fault names file, line, column and
//! the user's words; with any fault nothing is loaded.

use super::ConfigFault;
use crate::ingest::{self, CONTRACT_MEMBERS, CONTRACT_NUMBERS, Kind, Node, Pointer, Rejection};
use crate::law::{Contract, nearest_of};
use crate::rules::{Rulebook, contract_faults};
use std::collections::BTreeMap;
use std::path::Path;

/// The member that says which entity signed; of the register, not of the contract.
const ENTITY: &str = "entity";

/// A contract with the place it was read from.
#[derive(Clone, Debug)]
pub struct Registered {
    pub contract: Contract,
    /// Id of the entity that signed it, when the register says so.
    pub entity: Option<String>,
    file: String,
    line: usize,
    spots: BTreeMap<String, Spot>,
}

/// Where a member stands: line, and column of a CSV. Both are counted from 1.
#[derive(Clone, Copy, Debug)]
struct Spot {
    line: usize,
    column: Option<usize>,
}

impl Registered {
    /// A fault of this contract, at the line of `member` when it was given.
    pub(super) fn fault(&self, member: &str, text: String) -> ConfigFault {
        let spot = self.spots.get(member).copied().unwrap_or(Spot { line: self.line, column: None });
        ConfigFault { file: self.file.clone(), line: spot.line, text: in_column(spot.column, text) }
    }

    /// What it names and no rule pack knows.
    pub(super) fn unknown_words(&self, book: &Rulebook) -> Vec<ConfigFault> {
        let faults = contract_faults(book, &self.contract);
        faults.into_iter().map(|(member, text)| self.fault(member, text)).collect()
    }
}

fn in_column(column: Option<usize>, text: String) -> String {
    match column {
        Some(column) => format!("column {column}: {text}"),
        None => text,
    }
}

/// Reads the `[[contract]]` tables of a configuration file that is known to parse.
pub(super) fn tables(text: &str, file: &str, faults: &mut Vec<ConfigFault>) -> Vec<Registered> {
    let Ok(document) = ingest::toml(text) else { return Vec::new() };
    let Some(Node { kind: Kind::List(items), .. }) = document.member("contract") else { return Vec::new() };
    items.iter().map(|node| registered(node, file, &[], faults)).collect()
}

/// Reads a CSV file: a header with names of members, one contract a row, empty cells left out. The separator is a comma, or
/// a semicolon where the header has semicolons and no comma.
pub(super) fn csv_file(path: &Path, faults: &mut Vec<ConfigFault>) -> Vec<Registered> {
    let file = path.display().to_string();
    let text = match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            faults.push(ConfigFault {
                file,
                line,
                text: "is not UTF-8 from here on; save it as CSV UTF-8".to_string(),
            });
            return Vec::new();
        }
        Err(error) => {
            faults.push(ConfigFault { file, line: 0, text: format!("cannot be read: {error}") });
            return Vec::new();
        }
    };
    csv(&text, &file, faults)
}

fn csv(text: &str, file: &str, faults: &mut Vec<ConfigFault>) -> Vec<Registered> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    let separator = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = reader.records();
    let before = faults.len();
    let header = match rows.next() {
        Some(Ok(header)) => columns(&header, file, faults),
        _ => {
            let text = format!("has no header; its first line names the columns: {}", CONTRACT_MEMBERS.join(","));
            faults.push(ConfigFault { file: file.to_string(), line: 1, text });
            return Vec::new();
        }
    };
    if faults.len() > before {
        return Vec::new();
    }
    let mut found = Vec::new();
    for row in rows {
        match row {
            Ok(row) => found.extend(read_row(&row, text, &header, file, faults)),
            Err(error) => {
                let line = error.position().map_or(0, |at| at.line() as usize);
                faults.push(ConfigFault { file: file.to_string(), line, text: format!("is no CSV row: {error}") });
            }
        }
    }
    found
}

/// The members the columns are, checked.
fn columns(header: &csv::StringRecord, file: &str, faults: &mut Vec<ConfigFault>) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    let mut say = |column: usize, text: String| {
        faults.push(ConfigFault { file: file.to_string(), line: 1, text: in_column(Some(column), text) });
    };
    for (at, name) in header.iter().enumerate() {
        if name != ENTITY && !CONTRACT_MEMBERS.contains(&name) {
            say(at + 1, ingest::stray_contract_member(name));
        } else if columns.iter().any(|c| c == name) {
            say(at + 1, format!("`{name}` is given twice; keep one column"));
        }
        columns.push(name.to_string());
    }
    if !columns.iter().any(|c| c == "id") {
        say(1, "the column `id` is missing; each contract has an id of its own".to_string());
    }
    columns
}

fn read_row(
    row: &csv::StringRecord,
    text: &str,
    header: &[String],
    file: &str,
    faults: &mut Vec<ConfigFault>,
) -> Option<Registered> {
    let line = row.position().map_or(0, |at| line_of(text, at.byte() as usize));
    if row.iter().all(str::is_empty) {
        return None;
    }
    if row.len() != header.len() {
        let text = format!(
            "the row has {} columns and the header {}; put text with the separator in it in double quotes",
            row.len(),
            header.len()
        );
        faults.push(ConfigFault { file: file.to_string(), line, text });
        return None;
    }
    let cells = header.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
    let members = cells.map(|(name, cell)| (name.clone(), Node { kind: cell_kind(name, cell), line: Some(line) }));
    let node = Node { kind: Kind::Table(members.collect()), line: Some(line) };
    Some(registered(&node, file, header, faults))
}

/// Line of a row that begins at `byte` or, as the reader skips empty lines, somewhat later.
fn line_of(text: &str, byte: usize) -> usize {
    let start = byte.min(text.len());
    let empty = text[start..].len() - text[start..].trim_start_matches(['\r', '\n']).len();
    text[..start + empty].matches('\n').count() + 1
}

fn cell_kind(name: &str, cell: &str) -> Kind {
    let number = CONTRACT_NUMBERS.contains(&name) && !cell.starts_with('+');
    match cell.parse::<i128>() {
        Ok(n) if number => Kind::Integer(n),
        _ => Kind::Text(cell.to_string()),
    }
}

/// Reads one table. `header` are the columns of a CSV; empty for TOML.
fn registered(node: &Node, file: &str, header: &[String], faults: &mut Vec<ConfigFault>) -> Registered {
    let column = |name: &str| header.iter().position(|column| column == name).map(|at| at + 1);
    let line = node.line.unwrap_or(0);
    let spot = |(name, member): &(String, Node)| {
        (name.clone(), Spot { line: member.line.unwrap_or(line), column: column(name) })
    };
    let spots = node.members().iter().map(spot).collect();
    let entity = node.member(ENTITY);
    let others = node.members().iter().filter(|(name, _)| name != ENTITY).cloned().collect();
    let table = Node { kind: Kind::Table(others), line: node.line };
    let mut rejections: Vec<Rejection> = Vec::new();
    let contract = ingest::contract(&table, &Pointer::root(), &mut rejections);
    if let Some(member) = entity.filter(|member| member.text().is_none()) {
        let text = format!("`entity` is {}; give the id of an [[entity]]", member.what());
        rejections.push(Rejection::at(&Pointer::root().child(ENTITY), member, text));
    }
    for rejection in rejections {
        let member = rejection.pointer.trim_start_matches('/');
        let text = in_column(column(member), rejection.text);
        faults.push(ConfigFault { file: file.to_string(), line: rejection.line.unwrap_or(line), text });
    }
    Registered {
        contract,
        entity: entity.and_then(Node::text).map(str::to_string),
        file: file.to_string(),
        line,
        spots,
    }
}

/// Faults that only show when all contracts and entities are known: an id twice, an entity nobody describes, a contract
/// nobody signed.
pub(super) fn cross_check(register: &[Registered], entities: &[(&str, &[String])]) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    for (at, one) in register.iter().enumerate() {
        let id = &one.contract.id;
        if let Some(first) = register[..at].iter().find(|other| other.contract.id == *id) {
            let text = format!("contract `{id}` stands in {}:{} already; give one another id", first.file, first.line);
            faults.push(one.fault("id", text));
        }
        match &one.entity {
            Some(name) if !entities.iter().any(|(entity, _)| entity == name) => {
                let near = nearest_of(name, entities.iter().map(|(entity, _)| *entity));
                let hint = crate::rules::did_you_mean(&near);
                faults.push(one.fault(
                    ENTITY,
                    format!("contract `{id}` names entity `{name}`, which no [[entity]] describes{hint}"),
                ));
            }
            None if entities.len() > 1 && !entities.iter().any(|(_, listed)| listed.contains(id)) => {
                let text =
                    format!("no entity has contract `{id}`: add `entity`, or list it under `contracts` of an entity");
                faults.push(one.fault("id", text));
            }
            _ => {}
        }
    }
    faults
}

/// The contracts an entity signed: those it lists, those that name it and, where it is the only entity, those that name none.
pub(super) fn signed_by(register: &[Registered], entity: &str, listed: &[String], only: bool) -> Vec<Contract> {
    let theirs = |one: &&Registered| match &one.entity {
        Some(name) => name == entity || listed.contains(&one.contract.id),
        None => only || listed.contains(&one.contract.id),
    };
    register.iter().filter(theirs).map(|one| one.contract.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Registered>, Vec<String>) {
        let mut faults = Vec::new();
        let found = csv(text, "c.csv", &mut faults);
        (found, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn rows_are_contracts() {
        let (found, faults) = read(
            "\u{feff}id,name,starts,period,place,clause\r\nbig,Big plc,suspicion,24 hours,,\"shall notify, at once\"\r\n\r\nbank,,awareness,2 business days,GB,\r\n",
        );
        assert_eq!(faults, Vec::<String>::new());
        let [big, bank] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(big.contract.clause.as_deref(), Some("shall notify, at once"));
        assert_eq!(big.contract.starts.as_deref(), Some("times.detected"));
        assert_eq!((bank.contract.name.as_str(), bank.contract.place.as_deref()), ("bank", Some("GB")));
        assert_eq!((big.line, bank.line), (2, 4));
        let (found, faults) = read("id;hours\nbig;24\n");
        assert_eq!((found.len(), faults.len()), (1, 0));
        assert_eq!(found[0].contract.number().map(|p| p.n), Some(24));
    }

    #[test]
    fn faults_name_line_and_column() {
        for (text, words) in [
            (
                "id,period\nbig,24 ours\n",
                "c.csv:2: column 2: `period` is `24 ours`: `ours` is no unit, did you mean `hours`?",
            ),
            ("id,period\na,24 hours\n\nbig,soon\n", "c.csv:4: column 2: `period` is `soon`: it is no period"),
            ("id,period\na,\"24\nours\"\n", "c.csv:2: column 2:"),
            ("id,direction\nbig,them\n", "c.csv:2: column 2: `direction` is `them`; it may be `we-owe` or `they-owe`"),
            ("id,hours\nbig,a day\n", "c.csv:2: column 2: `hours` is `a day`; give a whole number"),
            ("id,starts\nbig,suspicon\n", "did you mean `suspicion`?"),
            (
                "id,counterparty\nbig,B\n",
                "c.csv:1: column 2: `counterparty` is not a member of a contract; did you mean `name`?",
            ),
            ("id,id\nbig,B\n", "c.csv:1: column 2: `id` is given twice"),
            ("name,period\nbig,24 h\n", "c.csv:1: column 1: the column `id` is missing"),
            ("id,period\nbig\n", "c.csv:2: the row has 1 columns and the header 2"),
            ("id,name\n,B\n", "c.csv:2: column 1: a contract needs an `id`"),
            ("id,ends\nbig,31.12.2026\n", "c.csv:2: column 2: `ends` is `31.12.2026`; give a date"),
            ("", "c.csv:1: has no header"),
        ] {
            let (_, faults) = read(text);
            assert!(faults.iter().any(|fault| fault.contains(words)), "`{text}`: {faults:?}");
        }
    }
}
