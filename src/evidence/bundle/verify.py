#!/usr/bin/env python3
"""Checks the evidence bundle in which this file lies. Python 3.8 or later, its standard library only.

usage: python3 verify.py [ALLOWED_SIGNERS [AUTHORITIES [WITNESSES]]]
  ALLOWED_SIGNERS: a trusted copy, from elsewhere; otherwise keys/allowed_signers is used
  AUTHORITIES: certificates (PEM) of time-stamping authorities you trust; otherwise those in tsa/ are used
  WITNESSES: verifier keys of witnesses you trust, one a line; otherwise those in keys/witness.vkeys are used
An empty word stands for a file that is not given. Status 0: verified. 1: not, each fault is printed.
"""
import base64
import datetime
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
WITNESSES = "keys/witness.vkeys"
OPTIONAL = {"certification.txt", "checkpoint.txt.tsr", "SHA256SUMS.tsr", WITNESSES}
KNOWN = re.compile(rf"(rotations/\d{{10}}/(checkpoint\.txt|consistency\.txt|entry\.json|entry\.tlog-proof)|anchors/\d{{10}}/(checkpoint\.txt|checkpoint\.txt\.tsr|consistency\.txt|\d{{6,}}\.tlog-proof)|"
                   rf"tsa/[A-Za-z0-9._-]+\.pem|entries/\d{{6,}}\.json|proofs/\d{{6,}}\.tlog-proof|(disclosures|rules)/{HEX}\.json|attachments/{HEX}|report\.pdf)", re.A)
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


# --- RFC 9162 section 2.1.4.2 ---
def grown(old, new, path, old_root, new_root):
    if not 0 < old < new:
        return False
    node, last, path = old - 1, new - 1, list(path)
    while node & 1:
        node, last = node >> 1, last >> 1
    # a power of two is a complete subtree: the proof leaves it out
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before = hashlib.sha256(b"\1" + sibling + before).digest()
            after = hashlib.sha256(b"\1" + sibling + after).digest()
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            after = hashlib.sha256(b"\1" + after + sibling).digest()
        node, last = node >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


# --- time stamps: RFC 3161, RFC 5652, RFC 5280; DER only ---
def der(data):
    """The parts of a constructed value: tag, content, whole."""
    parts, at = [], 0
    while at < len(data):
        start, tag, size = at, data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or at + count > len(data):
                raise ValueError("its DER is broken")
            size, at = int.from_bytes(data[at:at + count], "big"), at + count
        if tag & 0x1F == 0x1F or at + size > len(data):
            raise ValueError("its DER is broken")
        parts.append((tag, data[at:at + size], data[start:at + size]))
        at += size
    return parts


def oid(content):
    numbers, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first] + numbers[1:]))


HASHES = {"2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384", "2.16.840.1.101.3.4.2.3": "sha512"}
RSA = {"1.2.840.113549.1.1.1": None, "1.2.840.113549.1.1.11": "sha256", "1.2.840.113549.1.1.12": "sha384",
       "1.2.840.113549.1.1.13": "sha512"}
ECDSA = {"1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384"}
PREFIX = {"sha256": "3031300d060960864801650304020105000420", "sha384": "3041300d060960864801650304020205000430",
          "sha512": "3051300d060960864801650304020305000440"}
# p, b, n, G of FIPS 186 curves; a is -3
CURVES = {
    "1.2.840.10045.3.1.7": (
        2 ** 256 - 2 ** 224 + 2 ** 192 + 2 ** 96 - 1,
        0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
        0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
        (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
         0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)),
    "1.3.132.0.34": (
        2 ** 384 - 2 ** 128 - 2 ** 96 + 2 ** 32 - 1,
        0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef,
        0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973,
        (0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7,
         0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f)),
}


def curve_add(p, first, second):
    if first is None or second is None:
        return first or second
    (x1, y1), (x2, y2) = first, second
    if x1 == x2 and (y1 + y2) % p == 0:
        return None
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, p - 2, p) if first == second else (y2 - y1) * pow(x2 - x1, p - 2, p)
    x3 = (slope * slope - x1 - x2) % p
    return x3, (slope * (x1 - x3) - y1) % p


def curve_times(p, n, at):
    result = None
    while n:
        if n & 1:
            result = curve_add(p, result, at)
        at, n = curve_add(p, at, at), n >> 1
    return result


def key_signed(spki, algorithm, digest, message, signature):
    """Whether the key signed; the digest is that of the algorithm, unless it names none."""
    (_, kind, _), (_, bits, _) = der(der(spki)[0][1])
    kind, bits = der(kind), bits[1:]
    name = RSA.get(algorithm) or ECDSA.get(algorithm) or (digest if algorithm in RSA else None)
    if name is None or digest not in (None, name):
        return False
    hashed = hashlib.new(name, message).digest()
    if algorithm in RSA and oid(kind[0][1]) == "1.2.840.113549.1.1.1":
        n, e = (int.from_bytes(part, "big") for _, part, _ in der(der(bits)[0][1]))
        size = (n.bit_length() + 7) // 8
        if not 2048 <= n.bit_length() <= 8192 or len(signature) != size or int.from_bytes(signature, "big") >= n:
            return False
        info = bytes.fromhex(PREFIX[name]) + hashed
        return pow(int.from_bytes(signature, "big"), e, n).to_bytes(size, "big") == \
            b"\0\1" + b"\xff" * (size - 3 - len(info)) + b"\0" + info
    if algorithm in ECDSA and oid(kind[0][1]) == "1.2.840.10045.2.1" and oid(kind[1][1]) in CURVES:
        p, b, n, base = CURVES[oid(kind[1][1])]
        size = (p.bit_length() + 7) // 8
        x, y = int.from_bytes(bits[1:1 + size], "big"), int.from_bytes(bits[1 + size:], "big")
        if len(bits) != 1 + 2 * size or bits[0] != 4 or (y * y - x * x * x + 3 * x - b) % p:
            return False
        r, s = (int.from_bytes(part, "big") for _, part, _ in der(der(signature)[0][1]))
        if not (0 < r < n and 0 < s < n):
            return False
        w, z = pow(s, n - 2, n), int.from_bytes(hashed[:size], "big")
        at = curve_add(p, curve_times(p, z * w % n, base), curve_times(p, r * w % n, (x, y)))
        return at is not None and at[0] % n == r
    return False


def time_of(tag, content):
    """UTCTime or GeneralizedTime as one comparable text, and as RFC 3339."""
    text = content.decode("ascii")
    if tag == 0x17:
        text = ("20" if text[:2] < "50" else "19") + text
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d{1,20})?Z", text, re.A)
    if not match:
        raise ValueError("its time is not written as it must be")
    y, mo, d, h, mi, s, fraction = match.groups()
    datetime.datetime(int(y), int(mo), int(d), int(h), int(mi), int(s))
    return text[:14] + (fraction or ""), f"{y}-{mo}-{d}T{h}:{mi}:{s}{fraction or ''}Z"


def certificate(whole):
    body, algorithm, signature = der(der(whole)[0][1])
    parts = der(body[1])
    if parts[0][0] == 0xA0:
        parts = parts[1:]
    serial, _, issuer, validity, subject, spki = parts[:6]
    extensions = {}
    for tag, content, _ in parts[6:]:
        if tag == 0xA3:
            for _, extension, _ in der(der(content)[0][1]):
                values = der(extension)
                critical = len(values) == 3 and values[1][1] == b"\xff"
                extensions[oid(values[0][1])] = (critical, values[-1][1])
    start, end = (time_of(tag, content)[0] for tag, content, _ in der(validity[1]))
    return {"whole": whole, "body": body[2], "algorithm": oid(der(algorithm[1])[0][1]), "signature": signature[1][1:],
            "serial": serial[1], "issuer": issuer[2], "subject": subject[2], "spki": spki[2], "start": start, "end": end,
            "extensions": extensions}


def certificates(text):
    found = re.findall(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----", text)
    if not found:
        raise ValueError("holds no certificate in PEM form")
    return [certificate(base64.b64decode(b"".join(one.split()), validate=True)) for one in found]


def leads(one, others, roots, when, depth=0):
    """Whether a certificate leads to a trusted one, valid at `when` all the way."""
    if not one["start"] <= when[:14] <= one["end"] or depth > 6:
        return False
    if any(one["whole"] == root["whole"] for root in roots):
        return True
    for issuer in roots + others:
        if issuer["subject"] != one["issuer"] or not key_signed(
                issuer["spki"], one["algorithm"], None, one["body"], one["signature"]):
            continue
        if any(issuer["whole"] == root["whole"] for root in roots):
            return True
        constraints = issuer["extensions"].get("2.5.29.19", (False, b"\x30\0"))[1]
        if der(der(constraints)[0][1])[:1] == [(1, b"\xff", b"\1\1\xff")] and leads(issuer, others, roots, when, depth + 1):
            return True
    return False


def timestamp(response, data, roots):
    """The time that an authority of `roots` states for `data`: comparable, and as RFC 3339."""
    if len(response) > 65536:
        raise ValueError("it is longer than a time stamp")
    (_, outer, _), = der(response)
    status, *rest = der(outer)
    if int.from_bytes(der(status[1])[0][1], "big") > 1 or len(rest) != 1:
        raise ValueError("it was refused, or holds no token")
    kind, content = der(rest[0][1])
    signed = der(der(content[1])[0][1])
    if oid(kind[1]) != "1.2.840.113549.1.7.2":
        raise ValueError("it is not signed")
    signed, info = signed[2:], der(signed[2][1])
    if oid(info[0][1]) != "1.2.840.113549.1.9.16.1.4" or der(info[1][1])[0][0] != 4:
        raise ValueError("it signs something that is no time stamp")
    info = der(info[1][1])[0][1]
    carried = [certificate(part) for tag, field, _ in signed if tag == 0xA0
               for tag, _, part in der(field) if tag == 0x30]
    (_, signer, _), = der(signed[-1][1])
    signer = der(signer)
    who, digest, attributes = signer[1], HASHES[oid(der(signer[2][1])[0][1])], signer[3]
    if attributes[0] != 0xA0:
        raise ValueError("it has no signed attributes")
    algorithm, signature = oid(der(signer[4][1])[0][1]), signer[5][1]
    if who[0] == 0x30:
        issuer, serial = der(who[1])
        own = [one for one in carried if one["issuer"] == issuer[2] and one["serial"] == serial[1]]
    else:
        own = [one for one in carried if one["extensions"].get("2.5.29.14", (0, b""))[1][2:] == who[1]]
    if not own:
        raise ValueError("it does not carry the certificate that signed it")
    own = own[0]
    named = {}
    for _, attribute, _ in der(attributes[1]):
        kind, values = der(attribute)
        if oid(kind[1]) in named:
            raise ValueError("an attribute stands twice")
        (value,) = der(values[1])
        named[oid(kind[1])] = value
    if oid(named["1.2.840.113549.1.9.3"][1]) != "1.2.840.113549.1.9.16.1.4":
        raise ValueError("it says of itself that it is no time stamp")
    if named["1.2.840.113549.1.9.4"][1] != hashlib.new(digest, info).digest():
        raise ValueError("its content is not the one that was signed")
    ids = [(named[key][1], name) for key, name in
           (("1.2.840.113549.1.9.16.2.12", "sha1"), ("1.2.840.113549.1.9.16.2.47", "sha256")) if key in named]
    for value, name in ids:
        first = der(der(der(value)[0][1])[0][1])
        if first[0][0] == 0x30:
            name, first = HASHES[oid(der(first[0][1])[0][1])], first[1:]
        if hashlib.new(name, own["whole"]).digest() != first[0][1]:
            raise ValueError("it names another certificate than the one it carries")
    if not ids or not key_signed(own["spki"], algorithm, digest, b"\x31" + attributes[2][1:], signature):
        raise ValueError("it is not signed by the certificate it carries")
    critical, usage = own["extensions"].get("2.5.29.37", (False, b"\x30\0"))
    if not critical or [oid(part) for _, part, _ in der(der(usage)[0][1])] != ["1.3.6.1.5.5.7.3.8"]:
        raise ValueError("its certificate is not for time stamping alone")
    (_, info, _), = der(info)
    info = der(info)
    method, imprint = der(info[2][1])
    if oid(der(method[1])[0][1]) != "2.16.840.1.101.3.4.2.1" or imprint[1] != hashlib.sha256(data).digest():
        raise ValueError("it is over something else")
    when, shown = time_of(info[4][0], info[4][1])
    if not leads(own, carried, roots, when):
        raise ValueError("its certificate does not lead to a trusted one, or was not valid")
    return when, shown


def check_stamps(files, rows, trusted, origin, chain, size, root):
    """Lines of the index, the covering stamps (size, time), and when the bundle was packed."""
    roots = []
    for name in sorted(name for name in files if name.startswith("tsa/")):
        try:
            roots += certificates(files[name])
        except (ValueError, IndexError, KeyError, TypeError):
            fault(name, "holds no certificate that can be read")
    roots = roots if trusted is None else trusted
    index, covering, packed = [], [], None

    def stamp(name, of):
        try:
            data = files[name] if name == "SHA256SUMS" else as_signed(name, files[name])
            when, shown = timestamp(files[f"{name}.tsr"], data, roots)
        except (ValueError, IndexError, KeyError, TypeError) as why:
            fault(f"{name}.tsr", f"is no time stamp over {name} by an authority that is trusted: {why}")
            return None
        if name != "SHA256SUMS":
            index.append({"size": of, "at": shown, "file": f"{name}.tsr"})
            covering.append((of, when, shown))
        return shown

    by_name = {row["file"][8:-5]: row for row in rows}
    for folder in sorted({name[:18] for name in files if re.match(r"anchors/\d{10}/", name, re.A)}):
        checkpoint = f"{folder}/checkpoint.txt"
        missing = [f"{folder}/{name}" for name in ("checkpoint.txt", "checkpoint.txt.tsr", "consistency.txt")
                   if f"{folder}/{name}" not in files]
        if f"{checkpoint}.tsr" in missing and checkpoint in files and is_cosigned(files[checkpoint]):
            missing.remove(f"{checkpoint}.tsr")
        for name in missing:
            fault(name, "is missing")
        if missing:
            continue
        old, old_root = check_note(files, checkpoint, origin, key_for(chain, int(folder[8:])), 2)
        if not 0 < old < size or folder != f"anchors/{old:010}":
            fault(checkpoint, "is not of the size its folder is named by, or not earlier than checkpoint.txt")
            continue
        check_grown(files, f"{folder}/consistency.txt", old, size, old_root, root)
        for name in sorted(name for name in files if name.startswith(f"{folder}/") and name.endswith(".tlog-proof")):
            row = by_name.get(name[19:-11])
            if row is None:
                fault(name, "belongs to no entry")
            else:
                check_proof(files, name, row, files[row["file"]], old, old_root, checkpoint)
        if f"{checkpoint}.tsr" in files:
            stamp(checkpoint, old)
    if "checkpoint.txt.tsr" in files:
        stamp("checkpoint.txt", size)
    if "SHA256SUMS.tsr" in files:
        packed = stamp("SHA256SUMS", size)
    return index, covering, packed


def tell_ages(rows, covering, packed):
    runs = []
    for row in rows:
        times = [(when, shown) for of, when, shown in covering if of > row["idx"]]
        age = min(times)[1] if times else None
        if runs and runs[-1][2] == age:
            runs[-1][1] = row["n"]
        else:
            runs.append([row["n"], row["n"], age])
    for first, last, age in runs:
        if age:
            print(f"since  entries {first} to {last} existed no later than {age}")
        else:
            print(f"since  not provable how old entries {first} to {last} are: no time stamp covers them")
    if packed:
        print(f"since  this bundle was packed no later than {packed}")


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
    for name in sorted(files.keys() - listed.keys() - {"SHA256SUMS", "SHA256SUMS.sig", "SHA256SUMS.tsr"}):
        fault(name, "is not listed in SHA256SUMS")
    for name in sorted(files.keys() - FIXED - OPTIONAL):
        if not KNOWN.fullmatch(name):
            fault(name, "does not belong into a bundle")


def vkey_of(origin, key):
    key_id = hashlib.sha256(origin.encode() + b"\n\1" + key).digest()[:4]
    return f"{origin}+{key_id.hex()}+{base64.b64encode(bytes([1]) + key).decode()}"


def check_keys(files):
    try:
        (exporter, export_key), (origin, log_key) = signers(files["keys/allowed_signers"])
    except ValueError as why:
        fault("keys/allowed_signers", f"does not hold one export key and one log key: {why}")
        return None
    if files["keys/log.vkey"].decode("utf-8", "replace") != vkey_of(origin, log_key) + "\n":
        fault("keys/log.vkey", "is not the log key of allowed_signers")
    der = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + log_key).decode()
    if files["keys/log.pub.pem"] != f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n".encode():
        fault("keys/log.pub.pem", "is not the log key of allowed_signers")
    return exporter, export_key, origin, log_key


def check_trust(trusted, exporter, export_key, origin, log_keys):
    """What is trusted may be a log key from before a change of it that the log proves."""
    if trusted is not None and (trusted[0] != (exporter, export_key) or trusted[1] not in [(origin, key) for key in log_keys]):
        fault("keys/allowed_signers", "does not hold the keys you trust")


def read_cosigned(note, most):
    """The lines of a note: its text, the signatures of the log's name, and those of others behind them (name, blob)."""
    lines = note.decode().split("\n")
    if len(lines) < 6 or lines[3] or lines[-1]:
        raise ValueError("three lines, an empty one and its signatures expected")
    if not re.fullmatch("0|[1-9][0-9]*", lines[1]) or len(b64(lines[2])) != 32:
        raise ValueError("no size, or no root")
    own, others, prefix = [], [], f"\u2014 {lines[0]} "
    for line in lines[4:-1]:
        if line.startswith(prefix) and not others:
            own.append(b64(line[len(prefix):]))
            continue
        match = re.fullmatch("\u2014 ([^+\x00-\x20\x7f]+) ([A-Za-z0-9+/=]+)", line)
        if not match or match[1] == lines[0] or len(b64(match[2])) < 5:
            raise ValueError("a line is no signature")
        others.append((match[1], b64(match[2])))
    if not 1 <= len(own) <= most or len(others) > 100 or any(len(blob) != 68 for blob in own):
        raise ValueError("three lines, an empty one and its signatures expected")
    return lines[:3], own, others


def is_cosigned(note):
    try:
        return bool(read_cosigned(note, 2)[2])
    except ValueError:
        return False


def as_signed(name, note):
    """A checkpoint as the log signed it, which time stamps are over."""
    try:
        own = len(read_cosigned(note, 1 if name == "checkpoint.txt" else 2)[1])
    except ValueError:
        return note
    return b"\n".join(note.split(b"\n")[:4 + own]) + b"\n"


def check_note(files, name, origin, log_key, most=1):
    """Size and root that the log key signed, it alone or among others; a fault and nothing otherwise."""
    try:
        lines, own, _ = read_cosigned(files[name], most)
        if lines[0] != origin:
            raise ValueError("it is of another log")
        key_id = hashlib.sha256(origin.encode() + b"\n\1" + log_key).digest()[:4]
        text = "\n".join(lines + [""]).encode()
        if not any(blob[:4] == key_id and ed25519(log_key, text, blob[4:]) for blob in own):
            raise ValueError("not this log key, or the signature does not fit")
        return int(lines[1]), b64(lines[2])
    except ValueError as why:
        fault(name, f"is not signed by the log key: {why}")
        return 0, b""


# --- witnesses: C2SP tlog-cosignature v1 ---
def witness_keys(name, text):
    """Keys by name and key id, from verifier keys of signature type 4, one a line."""
    keys = {}
    lines = text.decode("utf-8", "replace").split("\n")
    if lines.pop() or not lines:
        fault(name, "is empty, or does not end with a line feed")
    for line in lines:
        try:
            match = re.fullmatch(r"([A-Za-z0-9._/:-]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", line)
            key = b64(match[3]) if match else b""
            if len(key) != 33 or key[0] != 4 or hashlib.sha256(match[1].encode() + b"\n" + key).hexdigest()[:8] != match[2]:
                raise ValueError("no key")
            if (match[1], match[2]) in keys:
                raise ValueError("twice")
            keys[match[1], match[2]] = key[1:]
        except ValueError:
            fault(name, f"line `{line}` is no verifier key of a witness, or stands twice")
    return keys


def check_witnesses(files, trusted):
    """Lines of the index, what the witnesses that are trusted saw, and how many cosignatures are of unknown keys."""
    keys = witness_keys(WITNESSES, files[WITNESSES]) if WITNESSES in files else {}
    index, seen, unknown = [], [], 0
    names = sorted(name for name in files if re.fullmatch(r"anchors/\d{10}/checkpoint\.txt", name, re.A)) + ["checkpoint.txt"]
    for name in names:
        try:
            lines, _, others = read_cosigned(files[name], 1 if name == "checkpoint.txt" else 2)
        except ValueError:
            continue
        for witness, blob in others:
            key_id = blob[:4].hex()
            known = [book[witness, key_id] for book in (keys, trusted or {}) if (witness, key_id) in book]
            is_trusted = (witness, key_id) in (keys if trusted is None else trusted)
            unknown += not is_trusted
            if not known:
                continue
            seconds, signature = int.from_bytes(blob[4:12], "big"), blob[12:]
            text = "\n".join(["cosignature/v1", f"time {seconds}"] + lines + [""]).encode()
            if len(signature) != 64 or not 1 <= seconds <= 253402300799 or \
                    not all(ed25519(key, text, signature) for key in known):
                fault(name, f"the cosignature of `{witness}` does not hold: it is not over this checkpoint,"
                            " or not of that time or key")
                continue
            at = (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
            row = {"size": int(lines[1]), "at": at, "witness": witness, "key_id": key_id, "file": name}
            if (witness, key_id) in keys:
                index.append(row)
            if is_trusted:
                seen.append((witness, at, int(lines[1]), lines[2]))
    return index, seen, unknown


def tell_witnesses(rows, seen, unknown, trusted):
    for witness, at, size, root in seen:
        last = sum(row["idx"] < size for row in rows)
        print(f"seen   by witness {witness} at {at}: the log at size {size}, root {root}, grown from all it saw before"
              f" (entries 1 to {last})")
    if trusted is not None and not seen:
        print("seen   by none of the witnesses that you trust")
    if unknown:
        print(f"       {unknown} cosignature(s) of unknown keys were ignored")


def check_rotations(files, origin, log_key, size, root):
    """Log keys with the size of the log up to which they signed, newest first; the present one signs to the end."""
    chain = [(size, log_key)]
    for folder in sorted({name[:20] for name in files if re.match(r"rotations/\d{10}/", name, re.A)}, reverse=True):
        missing = [f"{folder}/{name}" for name in ("checkpoint.txt", "consistency.txt", "entry.json", "entry.tlog-proof")
                   if f"{folder}/{name}" not in files]
        for name in missing:
            fault(name, "is missing")
        if missing:
            continue
        checkpoint, entry, key = f"{folder}/checkpoint.txt", f"{folder}/entry.json", chain[-1][1]
        try:
            match = ENVELOPE.fullmatch(files[entry].decode())
            body = strict(match[8]) if match else None
            if not match or match[1] != origin or match[3] != "_system" or match[7] != "key.rotated":
                raise ValueError("it is no entry of this log on a change of its key")
            if list(body) != ["key", "old", "new"] or body["key"] != "log" or body["new"] != vkey_of(origin, key):
                raise ValueError("it does not name the log key that follows")
            old = b64(body["old"].split("+", 2)[2])[1:]
            if len(old) != 32 or vkey_of(origin, old) != body["old"]:
                raise ValueError("it names no log key that went before")
        except (ValueError, IndexError, AttributeError) as why:
            fault(entry, f"shows no change of the log key: {why}")
            continue
        at, at_root = check_note(files, checkpoint, origin, key, 2)
        if check_note(files, checkpoint, origin, old, 2) == (0, b"") or folder != f"rotations/{at:010}":
            fault(checkpoint, "is not signed by both keys, or is not of the size its folder is named by")
            continue
        row = {"idx": integer(match[2]), "file": entry}
        check_proof(files, f"{folder}/entry.tlog-proof", row, files[entry], at, at_root, checkpoint)
        check_grown(files, f"{folder}/consistency.txt", at, size, at_root, root)
        chain.append((at, old))
    return chain


def key_for(chain, size):
    """The key that signed a checkpoint of this size."""
    return ([key for at, key in chain if size <= at] or [chain[0][1]])[-1]


def check_grown(files, name, old, size, old_root, root):
    try:
        lines = files[name].decode().split("\n")
        holds = lines.pop() == "" and grown(old, size, [b64(line) for line in lines], old_root, root)
    except ValueError:
        holds = False
    if not holds:
        fault(name, "does not show that the log grew from the earlier checkpoint")


def check_checkpoint(files, origin, log_key):
    note = files["checkpoint.txt"]
    tree = check_note(files, "checkpoint.txt", origin, log_key)
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
        check_proof(files, f"proofs/{n:06}.tlog-proof", row, data, size, root, "checkpoint.txt")
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
    known = ["actor", "profile", "entries", "withheld", "clk"]
    if last["type"] != "export.created" or list(last["body"]) not in (known, known[:4]):
        fault(last["file"], "is not the record of this export: entries after it are missing")
    elif last["body"]["entries"] != len(rows):
        fault(last["file"], f"does not count {len(rows)} entries")
    return rows


def check_proof(files, name, row, data, size, root, checkpoint):
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
    if note != files[checkpoint]:
        fault(name, f"is no proof under {checkpoint}")
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


def check_index(files, rows, origin, size, root, names, erased, withheld, stamps, witnesses):
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
        "rules": names[0], "attachments": names[1], "anchors": stamps, "erased": sorted(erased),
    }
    for key, value in want.items():
        if index.get(key) != value:
            fault("bundle.json", f"`{key}` does not agree with the files")
    named = index.get("witnesses", [])
    missing = [row for row in named if isinstance(row, dict) and row not in witnesses] if isinstance(named, list) else []
    for row in missing:
        file = row.get("file")
        fault(file if isinstance(file, str) and file in files else "bundle.json",
              f"lacks the cosignature of `{row.get('witness')}` of {row.get('at')}, which bundle.json names")
    if not missing and (named != witnesses or ("witnesses" in index) != bool(witnesses)):
        fault("bundle.json", "`witnesses` does not agree with the files")
    kept = {item for name, value in walk(index.get("withheld")) if name == "commitments" and isinstance(value, list)
            for item in value if is_hash(item)}
    if kept != withheld:
        fault("bundle.json", "`withheld` does not agree with the log")


def main():
    trusted = None
    if len(sys.argv) > 1 and sys.argv[1]:
        with open(sys.argv[1], "rb") as file:
            trusted = signers(file.read())
    authorities = None
    if len(sys.argv) > 2 and sys.argv[2]:
        with open(sys.argv[2], "rb") as file:
            authorities = certificates(file.read())
    witnesses = None
    if len(sys.argv) > 3 and sys.argv[3]:
        with open(sys.argv[3], "rb") as file:
            witnesses = witness_keys(sys.argv[3], file.read())
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
    keys = check_keys(files)
    if keys is None:
        return
    exporter, export_key, origin, log_key = keys
    if sshsig(files["SHA256SUMS.sig"], EXPORT, files["SHA256SUMS"]) != export_key:
        fault("SHA256SUMS.sig", "is not by the export key")
    size, root = check_checkpoint(files, origin, log_key)
    chain = check_rotations(files, origin, log_key, size, root)
    check_trust(trusted, exporter, export_key, origin, [key for _, key in chain])
    rows = check_entries(files, origin, size, root)
    if not rows:
        return
    stamps, covering, packed = check_stamps(files, rows, authorities, origin, chain, size, root)
    cosigned, seen, unknown = check_witnesses(files, witnesses)
    shown, erased, withheld, wanted = check_fields(files, rows)
    names = check_named(files, rows, wanted)
    check_index(files, rows, origin, size, root, names, erased, withheld, stamps, cosigned)
    if not FAULTS:
        print(f"VERIFIED: {len(rows)} entries of {rows[0]['stream']} in log {origin} (size {size});"
              f" fields: {shown} shown, {len(erased)} erased, {len(withheld)} withheld")
        for what, key in (("export", export_key), ("log", log_key)):
            blob = string(b"ssh-ed25519") + string(key)
            print(f"       {what} key SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}")
        for at, key in chain[1:]:
            blob = string(b"ssh-ed25519") + string(key)
            print(f"       up to size {at} the log key was"
                  f" SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}")
        tell_ages(rows, covering, packed)
        tell_witnesses(rows, seen, unknown, witnesses)
        print("not shown: that statements were true when written; that entries are not younger than they say;")
        other = " without cosignatures of these witnesses" if seen else ""
        print(f"that nobody was shown another log{other}. Compare the fingerprints above, and the certificates of the time-stamping")
        keys = ", and the keys of the witnesses" if seen and witnesses is None else ""
        print(f"authorities{keys}, with those published elsewhere.")


if __name__ == "__main__":
    main()
    if FAULTS:
        print(f"NOT VERIFIED: {len(FAULTS)} faults")
        sys.exit(1)
