#!/usr/bin/env python3
"""Checks the evidence bundle in which this file lies. Python 3.8 or later, its standard library only.

usage: python3 verify.py [ALLOWED_SIGNERS]    a trusted copy, from elsewhere; otherwise keys/allowed_signers is used
Status 0: verified. 1: not, each fault is printed.
"""
import base64
import hashlib
import json
import os
import re
import sys

FAULTS = []
FIXED = {
    "README.txt", "SHA256SUMS", "SHA256SUMS.sig", "bundle.json", "checkpoint.txt", "checkpoint.txt.sig",
    "keys/allowed_signers", "keys/log.pub.pem", "keys/log.vkey", "report.html", "verify.py", "verify.sh",
}
HEX = "[0-9a-f]{64}"
KNOWN = re.compile(rf"(entries/\d{{6,}}\.json|proofs/\d{{6,}}\.tlog-proof|(disclosures|rules)/{HEX}\.json|attachments/{HEX}|report\.pdf)", re.A)
ENVELOPE = re.compile(
    r'\{"v":1,"log":"([A-Za-z0-9._/:-]+)","idx":(0|[1-9][0-9]*),"stream":"([A-Za-z0-9._-]+)","n":(0|[1-9][0-9]*),'
    rf'"prev":"({HEX})","ts":"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}\.[0-9]{{6}}Z)",'
    r'"type":"([a-z0-9.-]+)","nonce":"[A-Za-z0-9_-]{22}","body":(\{.*\})\}\n')
EXPORT, CHECKPOINT = "breachclock-export-v1", "breachclock-checkpoint-v1"


def fault(name, text):
    FAULTS.append((name, text))
    print(f"FAULT  {name}: {text}")


def sha(data):
    return hashlib.sha256(data).hexdigest()


# --- strict JSON: no member twice, no floats, no white space between tokens ---
def members(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member stands twice")
    return dict(pairs)


def refuse(text):
    raise ValueError(f"{text} is no integer")


def integer(text):
    value = int(text)
    if abs(value) >= 2 ** 53:
        raise ValueError("an integer is too large")
    return value


def strict(text, compact=True):
    if compact and re.search(r"\s", re.sub(r'"(\\.|[^"\\])*"', "", text)):
        raise ValueError("white space between tokens")
    try:
        return json.loads(text, object_pairs_hook=members, parse_float=refuse, parse_constant=refuse, parse_int=integer)
    except RecursionError:
        raise ValueError("values stand too deep inside each other") from None


def walk(value):
    """Each member (name, value) of each object inside."""
    if isinstance(value, list):
        for item in value:
            yield from walk(item)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from walk(inner)


def is_hash(value):
    return isinstance(value, str) and re.fullmatch(HEX, value) is not None


# --- Ed25519, RFC 8032 section 6 (verification only) ---
P = 2 ** 255 - 19
L = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = add(q, p)
        p, n = add(p, p), n >> 1
    return q


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2 ** 255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - x2) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point(bytes.fromhex("58" + "66" * 31))


def ed25519(key, message, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if not a or not r or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- SSH signatures, PROTOCOL.sshsig ---
def string(data):
    return len(data).to_bytes(4, "big") + data


def take(data):
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise ValueError("too short")
    return data[4:4 + size], data[4 + size:]


def sshsig(armored, namespace, message):
    """The raw key that signed, or None."""
    try:
        head, tail = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
        text = armored.decode().rstrip()
        if not text.startswith(head) or not text.endswith(tail):
            return None
        rest = base64.b64decode(text[len(head):-len(tail)].replace("\n", ""), validate=True)
        if rest[:10] != b"SSHSIG\0\0\0\1":
            return None
        key, rest = take(rest[10:])
        space, rest = take(rest)
        reserved, rest = take(rest)
        digest, rest = take(rest)
        signature, rest = take(rest)
        kind, inner = take(signature)
        raw, inner = take(inner)
    except ValueError:
        return None
    if rest or inner or reserved or digest != b"sha512" or kind != b"ssh-ed25519" or space != namespace.encode():
        return None
    if key[:-32] != string(b"ssh-ed25519") + b"\0\0\0\x20":
        return None
    signed = b"SSHSIG" + string(space) + string(b"") + string(digest) + string(hashlib.sha512(message).digest())
    return key[-32:] if ed25519(key[-32:], signed, raw) else None


# --- RFC 9162 section 2.1.3.2 ---
def included(leaf, index, size, path, root):
    if index >= size:
        return False
    node, last, value = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            value = hashlib.sha256(b"\1" + sibling + value).digest()
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            value = hashlib.sha256(b"\1" + value + sibling).digest()
        node, last = node >> 1, last >> 1
    return last == 0 and value == root


def b64(text):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 is not written the one way it may be")
    return data


def signers(text):
    """Names and keys of the two lines: exporter, log."""
    lines = text.decode().split("\n")
    found = []
    for line, space in zip(lines, (EXPORT, CHECKPOINT)):
        match = re.fullmatch(rf'([^ ]+) namespaces="{space}" ssh-ed25519 ([A-Za-z0-9+/=]+)', line)
        blob = b64(match[2]) if match else b""
        if blob[:-32] != string(b"ssh-ed25519") + b"\0\0\0\x20":
            raise ValueError("no Ed25519 key")
        found.append((match[1], blob[-32:]))
    if len(found) != 2 or lines[2:] != [""]:
        raise ValueError("two lines expected")
    return found


def check_sums(files):
    for name in sorted(FIXED - files.keys()):
        fault(name, "is missing")
    listed = {}
    lines = files["SHA256SUMS"].decode("utf-8", "replace").split("\n")
    if lines.pop():
        fault("SHA256SUMS", "does not end with a line feed")
    for line in lines:
        match = re.fullmatch(rf"({HEX})  ([A-Za-z0-9_][A-Za-z0-9._/-]*)", line)
        if not match or match[2] in listed:
            fault("SHA256SUMS", f"line `{line}` is no sum and name, or stands twice")
        else:
            listed[match[2]] = match[1]
    for name, want in listed.items():
        if name not in files:
            fault(name, "is listed in SHA256SUMS and missing")
        elif sha(files[name]) != want:
            fault(name, "was changed after export: its sum differs")
    for name in sorted(files.keys() - listed.keys() - {"SHA256SUMS", "SHA256SUMS.sig"}):
        fault(name, "is not listed in SHA256SUMS")
    for name in sorted(files.keys() - FIXED):
        if not KNOWN.fullmatch(name):
            fault(name, "does not belong into a bundle")


def check_keys(files, trusted):
    try:
        (exporter, export_key), (origin, log_key) = signers(files["keys/allowed_signers"])
    except ValueError as why:
        fault("keys/allowed_signers", f"does not hold one export key and one log key: {why}")
        return None
    key_id = hashlib.sha256(origin.encode() + b"\n\1" + log_key).digest()[:4]
    vkey = f"{origin}+{key_id.hex()}+{base64.b64encode(bytes([1]) + log_key).decode()}\n"
    if files["keys/log.vkey"].decode("utf-8", "replace") != vkey:
        fault("keys/log.vkey", "is not the log key of allowed_signers")
    der = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + log_key).decode()
    if files["keys/log.pub.pem"] != f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n".encode():
        fault("keys/log.pub.pem", "is not the log key of allowed_signers")
    if trusted is not None and trusted != [(exporter, export_key), (origin, log_key)]:
        fault("keys/allowed_signers", "does not hold the keys you trust")
    return export_key, origin, log_key, key_id


def check_checkpoint(files, origin, log_key, key_id):
    note = files["checkpoint.txt"]
    try:
        lines = note.decode().split("\n")
        if len(lines) != 6 or lines[0] != origin or lines[3] or lines[5]:
            raise ValueError("five lines expected")
        if not re.fullmatch("0|[1-9][0-9]*", lines[1]):
            raise ValueError("no size")
        blob = b64(lines[4][len(f"\u2014 {origin} "):])
        if not lines[4].startswith(f"\u2014 {origin} ") or blob[:4] != key_id:
            raise ValueError("not this log key")
        if not ed25519(log_key, "\n".join(lines[:3] + [""]).encode(), blob[4:]):
            raise ValueError("the signature does not fit")
        tree = int(lines[1]), b64(lines[2])
    except ValueError as why:
        fault("checkpoint.txt", f"is not signed by the log key: {why}")
        return 0, b""
    if sshsig(files["checkpoint.txt.sig"], CHECKPOINT, note) != log_key:
        fault("checkpoint.txt.sig", "is not by the log key")
    return tree


def check_entries(files, origin, size, root):
    rows, prev, after, stream = [], "0" * 64, 0, None
    names = sorted(name for name in files if name.startswith("entries/"))
    for n, name in enumerate(names, 1):
        data = files[name]
        if name != f"entries/{n:06}.json":
            fault(name, f"entry {n} is missing before it")
        try:
            match = ENVELOPE.fullmatch(data.decode())
            if not match:
                raise ValueError("the envelope is not as it must be")
            row = dict(zip(("log", "idx", "stream", "n", "prev", "ts", "type"), match.groups()), file=name, sha256=sha(data))
            row["idx"], row["n"], row["body"] = integer(row["idx"]), integer(row["n"]), strict(match[8])
        except ValueError as why:
            fault(name, f"is no entry: {why}")
            prev = sha(data)
            continue
        stream = stream or row["stream"]
        if row["log"] != origin:
            fault(name, "is of another log")
        if row["stream"] != stream:
            fault(name, "is of another stream")
        if row["n"] != n:
            fault(name, f"says it is entry {row['n']} of the stream")
        if row["prev"] != prev:
            fault(name, "does not name the sum of the entry before it")
        if not after <= row["idx"] < size:
            fault(name, "its place in the log is out of order")
        check_proof(files, f"proofs/{n:06}.tlog-proof", row, data, size, root)
        if row["sha256"].encode() not in files["report.html"]:
            fault("report.html", f"does not show the hash of {name}")
        prev, after = row["sha256"], row["idx"] + 1
        rows.append(row)
    for name in sorted(files):
        if name.startswith("proofs/") and f"entries/{name[7:-11]}.json" not in files:
            fault(name, "belongs to no entry")
    if not rows:
        fault("entries", "there are no entries")
        return rows
    last = rows[-1]
    if last["type"] != "export.created" or list(last["body"]) != ["actor", "profile", "entries", "withheld"]:
        fault(last["file"], "is not the record of this export: entries after it are missing")
    elif last["body"]["entries"] != len(rows):
        fault(last["file"], f"does not count {len(rows)} entries")
    return rows


def check_proof(files, name, row, data, size, root):
    if name not in files:
        fault(name, "is missing")
        return
    try:
        head, note = files[name].split(b"\n\n", 1)
        lines = head.decode().split("\n")
        path = [b64(line) for line in lines[2:]]
    except ValueError:
        fault(name, "is no proof")
        return
    if lines[:2] != ["c2sp.org/tlog-proof@v1", f"index {row['idx']}"]:
        fault(name, f"is for another index than that of {row['file']}")
    if note != files["checkpoint.txt"]:
        fault(name, "is no proof under checkpoint.txt")
    if not included(hashlib.sha256(b"\0" + data).digest(), row["idx"], size, path, root):
        fault(name, f"does not lead from {row['file']} to the root")


def check_fields(files, rows):
    named, erased, withheld = {}, set(), set()
    for at, row in enumerate(rows, 1):
        for name, value in walk(row["body"]):
            if name == "$c" and is_hash(value):
                named.setdefault(value, row["file"])
            if name == "commitments" and isinstance(value, list):
                hashes = {item for item in value if is_hash(item)}
                if row["type"] == "disclosure.erased":
                    erased |= hashes
                elif row["type"] == "disclosure.withheld" or (row["type"] == "export.created" and at == len(rows)):
                    withheld |= hashes
    wanted = set()
    shown = {name[12:-5]: name for name in sorted(files) if name.startswith("disclosures/")}
    for stem, name in shown.items():
        if sha(files[name]) != stem:
            fault(name, "is not named by its own sum")
        elif stem not in named:
            fault(name, "belongs to no entry")
        elif stem in erased:
            fault(name, "was erased according to the log")
        try:
            salt, pointer, value = strict(files[name].decode())
            if not re.fullmatch("[A-Za-z0-9_-]{43}", salt) or not pointer.startswith("/"):
                raise ValueError
        except (ValueError, TypeError, AttributeError):
            fault(name, "is no salt, pointer and value")
            continue
        if pointer.endswith(("/proof", "/attachment", "/sha256")) and is_hash(value):
            wanted.add(value)
    hidden = set(named) - set(shown)
    for stem in sorted(hidden - erased - withheld):
        fault(named[stem], f"field {stem} is hidden: neither shown, erased nor withheld")
    return len(shown), hidden & erased, (hidden & withheld) - erased, wanted


def check_named(files, rows, wanted):
    rules = {name[6:-5]: files[name] for name in files if name.startswith("rules/")}
    books = {value for row in rows if row["type"] == "deadline.computed"
             for name, value in walk(row["body"]) if name == "rulebook" and isinstance(value, str)}
    for stem in sorted(books - rules.keys()):
        fault(f"rules/{stem}.json", "is missing")
    for stem, data in rules.items():
        if sha(data) != stem:
            fault(f"rules/{stem}.json", "is not named by its own sum")
        elif stem not in books and not any(f'"{stem}"'.encode() in rules[b] for b in books & rules.keys()):
            fault(f"rules/{stem}.json", "was used for no deadline of this incident")
    attachments = {name[12:]: files[name] for name in files if name.startswith("attachments/")}
    for stem, data in attachments.items():
        if sha(data) != stem:
            fault(f"attachments/{stem}", "is not named by its own sum")
        elif stem not in wanted:
            fault(f"attachments/{stem}", "is named by no entry")
    for stem in sorted(wanted - attachments.keys()):
        fault(f"attachments/{stem}", "is named by a disclosure and missing")
    return sorted(rules), sorted(attachments)


def check_index(files, rows, origin, size, root, names, erased, withheld):
    try:
        index = strict(files["bundle.json"].decode(), compact=False)
        if not isinstance(index, dict):
            raise ValueError("it is no object")
    except ValueError as why:
        fault("bundle.json", f"cannot be read: {why}")
        return
    last = rows[-1]
    body = last["body"]
    want = {
        "format": "breachclock-bundle-v1", "origin": origin, "stream": last["stream"], "tree_size": size,
        "root": base64.b64encode(root).decode(), "profile": body.get("profile"), "generated_at": last["ts"],
        "entries": [{key: row[key] for key in ("n", "idx", "ts", "type", "sha256")} for row in rows],
        "rules": names[0], "attachments": names[1], "anchors": [], "erased": sorted(erased),
    }
    for key, value in want.items():
        if index.get(key) != value:
            fault("bundle.json", f"`{key}` does not agree with the files")
    kept = {item for name, value in walk(index.get("withheld")) if name == "commitments" and isinstance(value, list)
            for item in value if is_hash(item)}
    if kept != withheld:
        fault("bundle.json", "`withheld` does not agree with the log")


def main():
    trusted = None
    if len(sys.argv) > 1:
        with open(sys.argv[1], "rb") as file:
            trusted = signers(file.read())
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    files = {}
    for folder, folders, names in os.walk("."):
        for name in sorted(folders + names):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                fault(path[2:], "is a link and does not belong into a bundle")
            if os.path.isdir(path):
                continue
            if not os.path.isfile(path) or os.path.islink(path):
                fault(path[2:], "is no plain file")
                continue
            with open(path, "rb") as file:
                files[os.path.relpath(path, ".").replace(os.sep, "/")] = file.read()
    if FIXED - files.keys():
        for name in sorted(FIXED - files.keys()):
            fault(name, "is missing")
        return
    check_sums(files)
    keys = check_keys(files, trusted)
    if keys is None:
        return
    export_key, origin, log_key, key_id = keys
    if sshsig(files["SHA256SUMS.sig"], EXPORT, files["SHA256SUMS"]) != export_key:
        fault("SHA256SUMS.sig", "is not by the export key")
    size, root = check_checkpoint(files, origin, log_key, key_id)
    rows = check_entries(files, origin, size, root)
    if not rows:
        return
    shown, erased, withheld, wanted = check_fields(files, rows)
    names = check_named(files, rows, wanted)
    check_index(files, rows, origin, size, root, names, erased, withheld)
    if not FAULTS:
        print(f"VERIFIED: {len(rows)} entries of {rows[0]['stream']} in log {origin} (size {size});"
              f" fields: {shown} shown, {len(erased)} erased, {len(withheld)} withheld")
        for what, key in (("export", export_key), ("log", log_key)):
            blob = string(b"ssh-ed25519") + string(key)
            print(f"       {what} key SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}")
        print("not shown: that statements were true when written; how old entries are (no time stamp was configured);")
        print("that nobody was shown another log. Compare the fingerprints above with those published elsewhere.")


if __name__ == "__main__":
    main()
    if FAULTS:
        print(f"NOT VERIFIED: {len(FAULTS)} faults")
        sys.exit(1)
