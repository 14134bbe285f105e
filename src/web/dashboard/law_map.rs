//! The coverage map: a tile for each place on record, by region. Where a tile stands is data, in `assets/regions.txt`.

use super::bar::percent;
use crate::rules::{CoverageRow, Rulebook};
use std::collections::{BTreeMap, BTreeSet};

const REGIONS: &str = include_str!("../assets/regions.txt");
const GAP: &str = "..";
/// Tiles of a row that is not on the map, and of a region of one row.
const COLUMNS: usize = 11;
const FEW: usize = 6;
const ROW_PIXELS: u32 = 46;

/// What is known of a place, as shape, word and shade together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cover {
    /// Half of the duties or more were checked against the text with high confidence.
    High,
    Medium,
    /// Half or more are of low confidence: shown as possible, never run by themselves.
    Low,
    /// It is on record that no general duty is in force.
    NoDuty,
    Uncovered,
}

impl Cover {
    pub const ALL: [Cover; 5] = [Cover::High, Cover::Medium, Cover::Low, Cover::NoDuty, Cover::Uncovered];

    fn of(row: &CoverageRow) -> Cover {
        let high: usize = row.instruments.iter().map(|i| i.high).sum();
        match (row.in_force, row.duties) {
            (0, _) => Cover::NoDuty,
            (_, duties) if row.unverified * 2 >= duties => Cover::Low,
            (_, duties) if high * 2 >= duties => Cover::High,
            _ => Cover::Medium,
        }
    }

    pub fn class(self) -> &'static str {
        match self {
            Cover::High => "high",
            Cover::Medium => "medium",
            Cover::Low => "low",
            Cover::NoDuty => "none",
            Cover::Uncovered => "not",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Cover::High => "high confidence",
            Cover::Medium => "medium confidence",
            Cover::Low => "not verified",
            Cover::NoDuty => "no duty in force on record",
            Cover::Uncovered => "not covered",
        }
    }
}

/// One place on the map.
#[derive(Clone, Debug)]
pub struct Tile {
    pub code: String,
    /// What stands on the tile.
    pub short: String,
    pub name: String,
    pub cover: Cover,
    pub in_force: usize,
    pub label: String,
    pub x: String,
    pub y: u32,
    pub width: String,
}

/// One place in the table.
#[derive(Clone, Debug)]
pub struct Line {
    pub code: String,
    pub name: String,
    pub cover: Cover,
    pub in_force: usize,
    pub high: usize,
    pub medium: usize,
    pub unverified: usize,
    pub to_come: usize,
    /// Instruments, or why there are none.
    pub what: String,
    pub reviewed: String,
}

#[derive(Clone, Debug)]
pub struct Region {
    pub id: String,
    pub name: String,
    pub tiles: Vec<Tile>,
    pub lines: Vec<Line>,
    pub height: u32,
    /// Places of the region nobody has packs for.
    pub uncovered: usize,
}

/// Every place on record, in its region.
pub fn draw(book: &Rulebook) -> Vec<Region> {
    let coverage = book.coverage();
    let rows: BTreeMap<&str, &CoverageRow> = coverage.iter().map(|row| (row.jurisdiction.as_str(), row)).collect();
    let uncovered: BTreeMap<String, String> = book.uncovered().into_iter().collect();
    let mut plans = plans();
    let placed: Vec<String> = plans.iter().flat_map(|p| p.cells.iter().map(|(code, ..)| code.clone())).collect();
    let on_record: BTreeSet<&str> = rows.keys().copied().chain(uncovered.keys().map(String::as_str)).collect();
    for code in on_record {
        if placed.iter().any(|known| known == code) {
            continue;
        }
        let zone = book.places().get(code).map(|place| zone_start(&place.zone)).unwrap_or_default();
        let last = plans.len().saturating_sub(1);
        let at = plans.iter().position(|plan| plan.zones.contains(&zone)).unwrap_or(last);
        plans[at].rest.push(code.to_string());
    }
    let tile = |code: &str, x: usize, y: usize, columns: usize, whole: bool| {
        let row = rows.get(code);
        let cover = match row {
            // what is only proposed there covers nothing
            _ if uncovered.contains_key(code) => Cover::Uncovered,
            Some(row) => Cover::of(row),
            // neither: the packs speak of the whole it is a part of
            None => return None,
        };
        let name = row.map(|row| row.name.clone()).or_else(|| uncovered.get(code).cloned()).unwrap_or_default();
        let in_force = row.map_or(0, |row| row.in_force);
        let label = match cover {
            Cover::Uncovered | Cover::NoDuty => format!("{name}: {}", cover.word()),
            _ => format!("{name}: {in_force} in force, {}", cover.word()),
        };
        let share = 100.0 / columns as f64;
        Some(Tile {
            code: code.to_string(),
            short: if whole { code } else { code.rsplit('-').next().unwrap_or(code) }.to_string(),
            name,
            cover,
            in_force,
            label,
            x: percent(share * x as f64),
            y: y as u32 * ROW_PIXELS,
            width: percent(share),
        })
    };
    let region = |(at, plan): (usize, &Plan)| {
        let is_small = plan.rest.is_empty() && plan.columns <= FEW;
        let columns = if is_small { plan.columns.max(4) } else { plan.columns.max(COLUMNS) };
        // parts of one country are told apart by what follows its code
        let country = |code: &str| code.split('-').next().unwrap_or_default().to_string();
        let countries: BTreeSet<String> = plan.cells.iter().map(|(code, ..)| country(code)).collect();
        let whole = countries.len() != 1 || !plan.rest.is_empty();
        let cells = plan.cells.iter();
        let mut tiles: Vec<Tile> = cells.filter_map(|(c, x, y)| tile(c, *x, *y, columns, whole)).collect();
        let mut rest: Vec<&String> = plan.rest.iter().collect();
        rest.sort();
        let first = plan.rows;
        tiles.extend(
            rest.iter().enumerate().filter_map(|(n, c)| tile(c, n % columns, first + n / columns, columns, true)),
        );
        let bottom = tiles.iter().map(|t| t.y).max().unwrap_or(0);
        let mut lines: Vec<Line> = tiles.iter().map(|t| line(t, rows.get(t.code.as_str()).copied())).collect();
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        Region {
            id: format!("region-{at}"),
            name: plan.name.clone(),
            uncovered: tiles.iter().filter(|t| t.cover == Cover::Uncovered).count(),
            tiles,
            lines,
            height: bottom + ROW_PIXELS,
        }
    };
    plans.iter().enumerate().map(region).filter(|region| !region.tiles.is_empty()).collect()
}

fn line(tile: &Tile, row: Option<&CoverageRow>) -> Line {
    let instruments = row.map(|row| row.instruments.as_slice()).unwrap_or_default();
    let sum = |of: fn(&crate::rules::InstrumentRow) -> usize| instruments.iter().map(of).sum::<usize>();
    let titles: Vec<&str> = instruments.iter().map(|i| i.title.as_str()).collect();
    let what = match (row.and_then(|row| row.no_duty.as_deref()), titles.is_empty()) {
        (Some(why), true) => why.to_string(),
        (_, true) => "ask counsel there".to_string(),
        _ => titles.join("; "),
    };
    Line {
        code: tile.code.clone(),
        name: tile.name.clone(),
        cover: tile.cover,
        in_force: tile.in_force,
        high: sum(|i| i.high),
        medium: sum(|i| i.medium),
        unverified: sum(|i| i.unverified),
        to_come: sum(|i| i.to_come),
        what,
        // the oldest review speaks for the place
        reviewed: instruments.iter().filter_map(|i| i.reviewed.clone()).min().unwrap_or_default(),
    }
}

fn zone_start(zone: &crate::time::Zone) -> String {
    super::zone_name(*zone).split('/').next().unwrap_or_default().to_string()
}

/// A region as the text draws it.
#[derive(Default)]
struct Plan {
    name: String,
    zones: Vec<String>,
    /// Code, column, row.
    cells: Vec<(String, usize, usize)>,
    rest: Vec<String>,
    columns: usize,
    rows: usize,
}

fn plans() -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for line in REGIONS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(heading) = line.strip_prefix('=') {
            let (name, zones) = heading.split_once('|').unwrap_or((heading, ""));
            let zones = zones.split_whitespace().map(str::to_string).collect();
            plans.push(Plan { name: name.trim().to_string(), zones, ..Plan::default() });
            continue;
        }
        let Some(plan) = plans.last_mut() else { continue };
        let codes = line.split_whitespace().enumerate();
        plan.cells.extend(codes.clone().filter(|(_, c)| *c != GAP).map(|(x, c)| (c.to_string(), x, plan.rows)));
        plan.columns = plan.columns.max(codes.count());
        plan.rows += 1;
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_one_tile_and_one_line() {
        let book = crate::rules::builtin().expect("the built-in packs load");
        let regions = draw(&book);
        let codes: Vec<&str> = regions.iter().flat_map(|r| r.tiles.iter().map(|t| t.code.as_str())).collect();
        let once: BTreeSet<&str> = codes.iter().copied().collect();
        assert_eq!(codes.len(), once.len(), "a place is drawn twice");
        let (coverage, uncovered) = (book.coverage(), book.uncovered());
        for code in coverage.iter().map(|r| &r.jurisdiction).chain(uncovered.iter().map(|(code, _)| code)) {
            assert!(once.contains(code.as_str()), "{code} is not drawn");
        }
        for region in &regions {
            assert_eq!(region.tiles.len(), region.lines.len(), "{}", region.name);
            let places: BTreeSet<(&str, u32)> = region.tiles.iter().map(|t| (t.x.as_str(), t.y)).collect();
            assert_eq!(places.len(), region.tiles.len(), "two tiles of {} lie on each other", region.name);
        }
    }

    #[test]
    fn a_place_is_as_sure_as_its_duties() {
        let row = |duties, in_force, unverified, high| CoverageRow {
            duties,
            in_force,
            unverified,
            instruments: vec![crate::rules::InstrumentRow { high, ..Default::default() }],
            ..CoverageRow::default()
        };
        for (row, wanted) in [
            (row(4, 4, 0, 2), Cover::High),
            (row(4, 4, 0, 1), Cover::Medium),
            (row(4, 4, 2, 2), Cover::Low),
            (row(4, 0, 0, 4), Cover::NoDuty),
            (row(0, 0, 0, 0), Cover::NoDuty),
        ] {
            assert_eq!(Cover::of(&row), wanted, "{row:?}");
        }
    }
}
