#!/usr/bin/env python3
"""Holds the manual, the alert rules and the dashboard to the program. Standard library only, a few seconds.

    scripts/check-docs.py [--binary PATH] [--metrics FILE]

Checked: links and anchors; every chapter is in SUMMARY.md; commands and options against the help of the binary (when one is
given); metrics against what `/metrics` answered (when given) and the source; alerts; routes and roles; facts;
TOML blocks against the examples and src/config; words the manual never uses. Exit code 1 with one line per fault.
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

try:
    import tomllib
except ImportError:  # before Python 3.11
    tomllib = None

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "docs" / "src"
RULES = ROOT / "config" / "prometheus-rules.yml"
BOARD = ROOT / "config" / "grafana-dashboard.json"
NEVER = ["compliant", "compliance", "on track", "nothing to do", "100% safe", "guarantee"]
METRIC = re.compile(r"\bbreachclock_[a-z0-9_]+\b")
# how the manual names a file of the source: a link that also holds in a book made of it
SOURCE = "https://github.com/breachclock/breachclock/blob/main/"
# names with that beginning that are no metrics
NO_METRIC = {"breachclock_keys"}
ROLES = ["reporter", "responder", "approver", "auditor", "admin"]

faults = []


def fault(path, line, text):
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    faults.append(f"{where}:{line}: {text}")


class Page:
    """A page in lines, told apart into prose and fenced blocks."""

    def __init__(self, path):
        self.path, self.text = path, path.read_text(encoding="utf-8")
        self.prose, self.blocks = [], []  # (line, text), (line, language, lines)
        block = None
        for number, line in enumerate(self.text.splitlines(), 1):
            if line.lstrip().startswith("```"):
                if block is None:
                    block = (number + 1, line.strip().strip("`").split(",")[0].strip(), [])
                    self.blocks.append(block)
                else:
                    block = None
            elif block is not None:
                block[2].append(line)
            else:
                self.prose.append((number, line))

    def anchors(self):
        seen, found = {}, set()
        for _, line in self.prose:
            heading = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
            if not heading:
                continue
            slug = slug_of(heading[1])
            count = seen.get(slug, 0)
            seen[slug] = count + 1
            found.add(slug if count == 0 else f"{slug}-{count}")
        return found


def slug_of(heading):
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return "".join("-" if c.isspace() else c.lower() for c in heading if c.isalnum() or c in "_-" or c.isspace())


pages = {}


def page(path):
    if path not in pages:
        pages[path] = Page(path)
    return pages[path]


def links(one):
    for number, line in one.prose:
        for target in re.findall(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)", line):
            name, _, anchor = target.partition("#")
            if name.startswith(SOURCE):
                to = ROOT / name.removeprefix(SOURCE)
            elif re.match(r"[a-z]+:", name):
                continue
            else:
                to = (one.path.parent / name).resolve() if name else one.path
                if BOOK in one.path.parents and BOOK not in to.parents:
                    fault(one.path, number, f"`{target}` leads out of the book; write {SOURCE}PATH")
            if not to.exists():
                fault(one.path, number, f"`{target}` leads nowhere")
            elif anchor and (to.suffix != ".md" or anchor not in page(to).anchors()):
                fault(one.path, number, f"`{target}`: no heading there has this anchor")


def chapters():
    summary = page(BOOK / "SUMMARY.md")
    named = {(BOOK / t).resolve() for t in re.findall(r"\]\(([^)#]+)\)", summary.text)}
    for path in sorted(BOOK.rglob("*.md")):
        if path.name != "SUMMARY.md" and path.resolve() not in named:
            fault(summary.path, 0, f"`{path.relative_to(BOOK)}` is no chapter")


def words(one):
    for number, line in enumerate(one.text.splitlines(), 1):
        for word in NEVER:
            if re.search(rf"\b{re.escape(word)}\b", line, re.IGNORECASE):
                fault(one.path, number, f"the manual never says `{word}`")


def commands(one):
    """Every command a page names: (line, text)."""
    for number, line in one.prose:
        for span in re.findall(r"`([^`]+)`", line):
            if span.startswith("breachclock "):
                yield number, span
    for start, language, lines in one.blocks:
        if language not in ("sh", "console"):
            continue
        number = 0
        while number < len(lines):
            first, line = number, lines[number]
            while line.endswith("\\") and number + 1 < len(lines):
                number += 1
                line = line[:-1] + lines[number]
            number += 1
            text = line.lstrip()
            if language == "console" and not text.startswith("$ "):
                continue
            text = text.removeprefix("$ ")
            if text.startswith("breachclock "):
                yield start + first, text


class Program:
    def __init__(self, binary):
        self.binary, self.known = binary, {}

    def help(self, verbs):
        if verbs not in self.known:
            asked = subprocess.run([self.binary, *verbs, "--help"], capture_output=True, text=True, timeout=60)
            text = asked.stdout
            listed = re.search(r"\nCommands:\n(.*?)(\n\n|\Z)", text, re.DOTALL)
            subs = re.findall(r"^  ([a-z][a-z-]*)", listed[1], re.MULTILINE) if listed else []
            self.known[verbs] = (text, set(subs) - {"help"})
        return self.known[verbs]

    def judge(self, command):
        """What is wrong with a command, if anything."""
        command = re.sub(r"\"[^\"]*\"|'[^']*'", "X", command)
        command = re.split(r"\s(?:\||>|<|;|&&|#)", command)[0]
        tokens = command.split()[1:]
        # `law list\|show`: each of them, as tables write it
        choice = next((at for at, token in enumerate(tokens) if "|" in token and not token.startswith("-")), None)
        if choice is None:
            return self.judge_one(tokens)
        words = re.split(r"\\?\|", tokens[choice])
        return next(filter(None, (self.judge_one([*tokens[:choice], w, *tokens[choice + 1 :]]) for w in words)), None)

    def judge_one(self, tokens):
        verbs = ()
        if tokens[0].startswith("--"):  # `breachclock --version`
            return None if tokens[0] in self.help(())[0] else f"there is no option `{tokens[0]}`"
        while tokens:
            subs = self.help(verbs)[1]
            token = tokens[0]
            if not subs or token in ("…", "..."):
                break
            if token not in subs:
                return f"there is no `{token}` below `{' '.join(('breachclock', *verbs))}`"
            verbs += (token,)
            tokens = tokens[1:]
        text = self.help(verbs)[0]
        for token in tokens:
            option = re.match(r"--[a-z-]+", token)
            if option and not re.search(rf"{option[0]}(?![a-z-])", text):
                return f"`{' '.join(('breachclock', *verbs))}` has no option `{option[0]}`"
        return None


def metrics(answer):
    sources = [ROOT / "src" / "workflow" / name for name in ("status.rs", "tally.rs")]
    known = {name for path in sources for name in METRIC.findall(path.read_text(encoding="utf-8"))}
    if answer:
        known |= {line.split()[2] for line in Path(answer).read_text().splitlines() if line.startswith("# TYPE ")}
    json.loads(BOARD.read_text(encoding="utf-8"))
    told = BOOK / "operator" / "monitoring.md"
    for path in (RULES, BOARD, told):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for name in METRIC.findall(line):
                if name not in known | NO_METRIC:
                    fault(path, number, f"no metric has the name `{name}`")
    text = told.read_text(encoding="utf-8")
    for name in sorted(known):
        if f"`{name}`" not in text:
            fault(told, 0, f"the metric `{name}` is not explained")
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
    named = set(re.findall(r"`(Breachclock\w+)`", text))
    for name in sorted(alerts ^ named):
        fault(told, 0, f"the alert `{name}` is {'not explained' if name in alerts else 'in no rule'}")


def routes():
    path = BOOK / "reference" / "http.md"
    source = (ROOT / "src" / "web" / "router.rs").read_text(encoding="utf-8")
    real = {f"{m.upper()} {p}" for m, p in re.findall(r'^\s*(get|post|put|delete) "([^"]+)" =>', source, re.MULTILINE)}
    rows = re.findall(r"^\| `([A-Z]+ /[^`]*)` \| [^|]* \| ([^|]*) \|$", path.read_text(encoding="utf-8"), re.MULTILINE)
    told = dict(rows)
    for route in sorted(real ^ set(told)):
        fault(path, 0, f"`{route}` is {'not listed' if route in real else 'no route'}")
    if tomllib is None:
        return
    access = tomllib.loads((ROOT / "tests" / "vectors" / "access.toml").read_text(encoding="utf-8"))
    for row in access["route"]:
        route = row["route"].replace("{obligation}", "{id}").replace("{duty}", "{id}")
        who = row.get("roles", [])
        want = "open" if row.get("open") else "every role" if who == ROLES else ", ".join(who)
        if route in told and told[route].strip() != want:
            fault(path, 0, f"`{route}` is for {want}, and the page says {told[route].strip()}")


def facts():
    path = BOOK / "reference" / "facts.md"
    source = (ROOT / "jurisdictions" / "facts.toml").read_text(encoding="utf-8")
    real = set(re.findall(r'^key = "([^"]+)"', source, re.MULTILINE))
    core = path.read_text(encoding="utf-8").split("## Families of keys")[0].split("## Keys every pack may ask for")[1]
    told = set(re.findall(r"^\| `([^`]+)` \|", core, re.MULTILINE))
    for key in sorted(real ^ told):
        fault(path, 0, f"the fact `{key}` is {'not listed' if key in real else 'not in facts.toml'}")


def read_all(*patterns):
    return "\n".join(p.read_text(encoding="utf-8") for pattern in patterns for p in sorted(ROOT.glob(pattern)))


def keys_of(value, free=()):
    """Every key of a table, but not those below a key in `free`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in free:
                yield from keys_of(inner, free)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner, free)


def toml_blocks(all_pages):
    if tomllib is None:
        print("note: TOML blocks are looked at from Python 3.11 on")
        return
    examples = read_all("config/*.toml", "src/config.rs", "src/config/*.rs", "src/escalation/people.rs")
    packs = read_all("jurisdictions/README.md", "src/rules/*.rs", "src/rules/**/*.rs")
    reports = read_all("jurisdictions/facts.toml", "src/ingest/*.rs")
    for one in all_pages:
        for start, language, lines in one.blocks:
            if language != "toml":
                continue
            try:
                table = tomllib.loads("\n".join(lines))
            except tomllib.TOMLDecodeError as error:
                fault(one.path, start, f"this is no TOML: {error}")
                continue
            if {"instrument", "duty", "case", "convention"} & set(table):
                corpus, free = packs, ("facts", "entity")
            elif "title" in table and "facts" in table:
                corpus, free = reports, ("times", "affected")
            else:
                # the keys of these are names of the operator's own
                corpus, free = examples, ("entities", "addresses", "headers", "facts")
            for key in keys_of(table, free):
                if not re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", corpus):
                    fault(one.path, start, f"nothing reads `{key}`")


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--binary", help="a built breachclock: commands and options are compared with its help")
    ask.add_argument("--metrics", help="what /metrics answered; else the names in the source")
    args = ask.parse_args()
    book = [page(p) for p in sorted(BOOK.rglob("*.md"))]
    readme = page(ROOT / "README.md")
    for one in [*book, readme]:
        links(one)
    chapters()
    for one in book:
        words(one)
    metrics(args.metrics)
    routes()
    facts()
    toml_blocks(book)
    count = 0
    if args.binary:
        program = Program(args.binary)
        for one in [*book, readme]:
            for number, command in commands(one):
                count += 1
                wrong = program.judge(command)
                if wrong:
                    fault(one.path, number, f"{wrong}: `{command}`")
    for text in faults:
        print(text)
    looked = f", {count} commands" if args.binary else ""
    print(f"{len(book)} pages{looked}: {len(faults)} fault(s)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
