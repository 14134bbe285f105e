#!/usr/bin/env python3
"""Writes jurisdictions/calendars/: holidays of every country and subdivision the `holidays` package knows, as reviewable text.

    pip install holidays==0.109 pycountry==26.2.16
    python3 scripts/gen_calendars.py            # rewrites countries/*.txt, named.txt and all.pack
    python3 scripts/gen_calendars.py --pack     # rewrites all.pack only, after editing an overlay

Country files are never edited by hand: corrections go into overlay/*.txt with their citation, and into KNOWN_DIFFERENCES.md.
The format is described in jurisdictions/calendars/README.md.
"""

import datetime
import importlib.metadata
import inspect
import pathlib
import re
import sys
import warnings

HOLIDAYS_VERSION = "0.109"
FIRST_YEAR, LAST_YEAR = 1970, 2045
ROOT = pathlib.Path(__file__).resolve().parent.parent / "jurisdictions" / "calendars"
# The last year whose substitutions the package could have known when it was released.
RELEASE_YEAR = 2026
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main():
    if "--pack" not in sys.argv:
        if importlib.metadata.version("holidays") != HOLIDAYS_VERSION:
            sys.exit(f"error: needs holidays=={HOLIDAYS_VERSION}; run `pip install holidays=={HOLIDAYS_VERSION}`")
        warnings.simplefilter("ignore")
        generate()
    pack()


def pack():
    """Joins all texts into the one that is built into the binary. Comments and blank lines are left out."""
    files = sorted((ROOT / "countries").glob("*.txt")) + [ROOT / "named.txt"] + sorted((ROOT / "overlay").glob("*.txt"))
    parts = [f"version holidays {HOLIDAYS_VERSION}, corrections of {corrections_date()}\n"]
    for path in files:
        lines = [line.rstrip() for line in path.read_text("utf-8").splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        parts.append(f"==> {path.relative_to(ROOT)}\n" + "".join(line + "\n" for line in lines))
    (ROOT / "all.pack").write_text("".join(parts), "utf-8")


def corrections_date():
    """The newest `# corrected DATE` line of the overlays."""
    found = ["2026-11-25"]
    for path in (ROOT / "overlay").glob("*.txt"):
        found += re.findall(r"^# corrected (\d{4}-\d\d-\d\d)", path.read_text("utf-8"), re.M)
    return max(found)


# ---- reading the package


def build(make, code, **options):
    """One HolidayBase with English names where there are any, and forecasts marked."""
    cls = type(make(code))
    init = inspect.signature(cls.__init__).parameters
    chosen = dict(options)
    if "en_US" in (cls.supported_languages or ()):
        chosen["language"] = "en_US"
    first, last = span(cls)
    kwargs = {"years": range(first, last + 1), **chosen}
    # calendars of moon sightings hide by default that they are forecasts
    for flag in ("islamic_show_estimated", "hindu_show_estimated", "show_estimated"):
        if any(flag in inspect.signature(k.__init__).parameters for k in cls.__mro__ if k is not object):
            try:
                return make(code, **{**kwargs, flag: True})
            except (TypeError, ValueError):
                continue
    return make(code, **kwargs)


def span(cls):
    return max(cls.start_year, FIRST_YEAR), min(cls.end_year, LAST_YEAR)


def estimated_markers(base):
    markers = {"(estimated)", "estimated)"}
    for name in dir(base):
        if name.endswith("estimated_label"):
            markers.add(base.tr(getattr(base, name)).replace("%s", "").strip())
    return markers


def days_of(base):
    """{date: (flag, name)}; `~` when every holiday of the day is a forecast."""
    markers = estimated_markers(base)
    found = {}
    for day, name in base.items():
        parts = name.split("; ")
        estimated = [any(m in part for m in markers) for part in parts]
        for marker in sorted(markers, key=len, reverse=True):
            name = name.replace(marker, "")
        name = re.sub(r"\(observed, ?$|\(observed, (?=;)", "(observed)", name.strip())
        name = re.sub(r"\s+", " ", name).strip()
        first, last = span(type(base))
        if first <= day.year <= last:
            found[day] = ("~" if all(estimated) else "", name)
    return found


def make_up_of(base):
    first, last = span(type(base))
    return {day for day in base.weekend_workdays if first <= day.year <= last and day not in base}


# ---- writing


class Names:
    """Short keys for names, in order of appearance."""

    def __init__(self):
        self.keys = {}

    def key(self, name):
        if name not in self.keys:
            n, key = len(self.keys), ""
            while True:
                key = LETTERS[n % 26] + key
                n = n // 26 - 1
                if n < 0:
                    break
            self.keys[name] = key
        return self.keys[name]

    def lines(self):
        return [f"name {key} {name}" for name, key in self.keys.items()]


def body(names, days, make_up=(), removed=()):
    """`fixed` lines for what recurs three years or more on one date, a line a year for the rest."""
    by_kind = {}
    for day, (flag, name) in sorted(days.items()):
        by_kind.setdefault((day.strftime("%m%d"), flag, name), []).append(day.year)
    for day in sorted(removed):
        by_kind.setdefault((day.strftime("%m%d"), "-", ""), []).append(day.year)
    for day in sorted(make_up):
        by_kind.setdefault((day.strftime("%m%d"), "+", ""), []).append(day.year)
    fixed, by_year = [], {}
    for (mmdd, flag, name), years in sorted(by_kind.items(), key=lambda kv: kv[0][0]):
        entry = f"{flag}{mmdd}{names.key(name) if name else ''}"
        spans = []
        for start, end in runs(years):
            if end - start >= 2:
                spans.append(f"{start}-{end}")
            else:
                for year in range(start, end + 1):
                    by_year.setdefault(year, []).append((mmdd, entry))
        if spans:
            fixed.append(f"fixed {entry} {' '.join(spans)}")
    yearly = [f"{year} {' '.join(e for _, e in sorted(entries))}" for year, entries in sorted(by_year.items())]
    return fixed + yearly


def runs(years):
    start = previous = None
    for year in sorted(years):
        if previous is None or year != previous + 1:
            if previous is not None:
                yield start, previous
            start = year
        previous = year
    if previous is not None:
        yield start, previous


def weekend_line(days):
    return "weekend " + (" ".join(WEEKDAYS[d] for d in sorted(days)) or "none")


def horizon(base, make_up):
    """Last day up to which holidays are announced: where substitutions are decreed each year, the last decree."""
    first, last = span(type(base))
    decreed = max((day.year for day in make_up), default=0)
    return f"{max(decreed, RELEASE_YEAR) if decreed >= RELEASE_YEAR - 1 else last}-12-31"


HEAD = (
    "# Generated by scripts/gen_calendars.py from the Python package holidays {version} (MIT, see LICENSE-holidays).\n"
    "# Not edited by hand: corrections stand in overlay/, with their citations.\n"
)


def generate():
    import holidays
    import pycountry

    folder = ROOT / "countries"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.txt"):
        old.unlink()
    supported = holidays.list_supported_countries(include_aliases=False)
    for code in sorted(supported):
        # cities and school zones have no ISO 3166-2 code and so no id here
        parts = [part for part in sorted(supported[code]) if re.fullmatch(r"[A-Z0-9]{1,3}", part)]
        country(code, parts, holidays, pycountry, folder)
    named(holidays)


def place_name(pycountry, code):
    if "-" in code:
        found = pycountry.subdivisions.get(code=code)
        return found.name if found else code
    found = pycountry.countries.get(alpha_2=code)
    return (getattr(found, "common_name", None) or found.name) if found else {"XK": "Kosovo"}.get(code, code)


def country(code, subdivisions, holidays, pycountry, folder):
    base = build(holidays.country_holidays, code)
    nation, nation_make_up = days_of(base), make_up_of(base)
    names = Names()
    first, last = span(type(base))
    lines = [
        f"calendar {code} {place_name(pycountry, code)}",
        f"years {first}-{last}",
        f"known_until {horizon(base, nation_make_up)}",
        weekend_line(type(base).weekend if isinstance(type(base).weekend, set) else base.weekend),
    ]
    lines += body(names, nation, nation_make_up)
    for part in subdivisions:
        own_base = build(holidays.country_holidays, code, subdiv=part)
        own, own_make_up = days_of(own_base), make_up_of(own_base)
        # a day both have keeps the nation's name; only a forecast that became certain, or the reverse, is a difference
        added = {d: v for d, v in own.items() if d not in nation or nation[d][0] != v[0]}
        removed = [d for d in nation if d not in own]
        lines.append("")
        lines.append(f"[{part}] {place_name(pycountry, f'{code}-{part}')}")
        if own_base.weekend != base.weekend:
            lines.append(weekend_line(own_base.weekend))
        lines += body(names, added, own_make_up - nation_make_up, removed + sorted(nation_make_up - own_make_up))
    text = HEAD.format(version=HOLIDAYS_VERSION) + f"source Python package holidays {HOLIDAYS_VERSION}\n"
    text += "\n".join(names.lines()) + "\n\n" + "\n".join(lines) + "\n"
    (folder / f"{code}.txt").write_text(text, "utf-8")


def named(holidays):
    """Calendars of institutions and statutes that are no country's list of public holidays."""
    names = Names()
    lines = []

    def section(id, title, base_days, cite, years=(FIRST_YEAR, LAST_YEAR), known_until=f"{LAST_YEAR}-12-31"):
        lines.extend(["", f"calendar {id} {title}", f"years {years[0]}-{years[1]}", f"known_until {known_until}"])
        lines.extend(f"cite {c}" for c in cite)
        lines.append("weekend sat sun")
        lines.extend(body(names, base_days))

    country_holidays, financial = holidays.country_holidays, holidays.financial_holidays
    closure = re.compile(r"Christmas Eve|Day After Christmas|Mourning")
    government = days_of(build(country_holidays, "US", categories=("government",)))
    flagged = {d: ("?" if closure.search(name) else flag, name) for d, (flag, name) in government.items()}
    section("US-FED", "United States, federal government offices", flagged, [
        "5 U.S.C. 6103; closures by executive order are marked `?`: disputed as legal holidays (FRCP 6(a)(6)(B)), ignored by the conservative reading",
    ])
    statutory = {d: v for d, v in government.items() if not closure.search(v[1])}
    section("US-5USC6103", "United States, legal public holidays of 5 U.S.C. 6103 only", statutory, ["5 U.S.C. 6103; E.O. 11582"])

    def market(code):
        base = build(financial, code)
        return days_of(base), span(type(base))

    days, years = market("XFED")
    section("US-FRB", "United States, Federal Reserve Banks", days, [
        "Federal Reserve Bank holiday schedule: a Saturday holiday is not observed on the Friday before",
    ], years)
    days, years = market("XNYS")
    section("US-NYSE", "United States, New York Stock Exchange", days, ["NYSE Rule 7.2"], years)
    days, years = market("XECB")
    section("EU-TARGET", "Euro area, TARGET payment system", days, [
        "ECB decision of 14 December 2000 on TARGET long-term calendar: 1 January, Good Friday, Easter Monday, 1 May, 25 and 26 December",
    ], years)
    canada = days_of(build(country_holidays, "CA", categories=("government", "public")))
    # closed offices, but not in section 35's list of holidays
    canada = {d: ("?" if "Boxing" in name else flag, name) for d, (flag, name) in canada.items()}
    section("CA-FED", "Canada, federal", canada, [
        "Interpretation Act RSC 1985 c I-21 s 35; Canada Labour Code s 166; Boxing Day is marked `?`: offices close, section 35 does not list it",
    ])
    brazil = days_of(build(country_holidays, "BR", categories=("public",)))
    optional = days_of(build(country_holidays, "BR", categories=("optional",)))
    section("BR-OPT", "Brazil, with optional days (pontos facultativos)", {**{d: ("?", n) for d, (_, n) in optional.items()}, **brazil}, [
        "annual Portaria of the federal government; Carnival is optional, not a holiday",
    ])
    dutch = {**days_of(build(country_holidays, "NL", categories=("public", "optional")))}
    dutch = {d: v for d, v in dutch.items() if d.month != 5 or d.day != 5}
    dutch.update({datetime.date(y, 5, 5): ("", "Liberation Day") for y in range(FIRST_YEAR, LAST_YEAR + 1)})
    section("NL-ATW", "Netherlands, Algemene termijnenwet", dutch, [
        "Algemene termijnenwet (BWBR0002448) Art. 3: 5 May every year, Good Friday equated with the holidays",
    ])
    text = HEAD.format(version=HOLIDAYS_VERSION) + f"source Python package holidays {HOLIDAYS_VERSION}\n"
    text += "\n".join(names.lines()) + "\n" + "\n".join(lines) + "\n"
    (ROOT / "named.txt").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
