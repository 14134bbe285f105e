"""Holds a running daemon to its own openapi.json, by schemathesis: `contract.py URL TOKEN DIR [EXAMPLES]`.

Three rounds: an administrator with the ids of things that exist, an administrator with any ids, and nobody. Answers are
held to the schemas more strictly than the document says: a member that is not described is a fault. Exits with 0 when
nothing was found.
"""

import json
import pathlib
import subprocess
import sys
import urllib.request

URL, TOKEN, DIR = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
EXAMPLES = sys.argv[4] if len(sys.argv) > 4 else "4"
SEED = "20260328"
# endless, or no text a generator writes: `stream_tells_of_changes` and `inbound` are their tests
NOT_HERE = ["/api/v1/stream"]
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
]


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def bases(node, found):
    """Names of the schemas that others extend: what they do not describe, the others do."""
    if isinstance(node, dict):
        for part in node.get("allOf", []):
            if "$ref" in part:
                found.add(part["$ref"].rsplit("/", 1)[-1])
        for value in node.values():
            bases(value, found)
    elif isinstance(node, list):
        for value in node:
            bases(value, found)
    return found


def close(node):
    """Every object that names its members has no others."""
    if isinstance(node, list):
        for value in node:
            close(value)
    elif isinstance(node, dict):
        for name, value in node.items():
            for part in value if name == "allOf" else [value]:
                if name == "allOf" and isinstance(part, dict):
                    for inner in part.get("properties", {}).values():
                        close(inner)
                else:
                    close(part)
        named = isinstance(node.get("properties"), dict) and "type" in node or "allOf" in node
        if named and not {"additionalProperties", "unevaluatedProperties"} & set(node):
            node["unevaluatedProperties"] = False


def strict(document):
    schemas = document["components"]["schemas"]
    extended = bases(document, set())
    for name, schema in schemas.items():
        if name in extended:
            for inner in schema.get("properties", {}).values():
                close(inner)
        else:
            close(schema)
    # what extends nothing and is extended is closed where it is used alone
    def alone(node):
        if isinstance(node, list):
            return [alone(value) for value in node]
        if not isinstance(node, dict):
            return node
        if str(node.get("$ref", "")).rsplit("/", 1)[-1] in extended:
            return {"allOf": [node], "unevaluatedProperties": False}
        return {name: value if name == "allOf" else alone(value) for name, value in node.items()}

    document = alone(document)
    for path in NOT_HERE:
        del document["paths"][path]
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            content = operation.get("requestBody", {}).get("content", {})
            if len(content) > 1:
                # the same, written otherwise
                content.pop("application/toml", None)
            if "message/rfc822" in content:
                # any bytes are a mail
                content["application/octet-stream"] = content.pop("message/rfc822")
            for response in operation["responses"].values():
                for kind in response.get("content", {}).values():
                    if "properties" in kind.get("schema", {}):
                        close(kind["schema"])
    return document


def quote(value):
    return json.dumps(value)


def config(ids):
    lines = ["[warnings]", "enabled = false", ""]
    if ids:
        for path, parameters in ids.items():
            inner = ", ".join(f'"path.{name}" = {quote(value)}' for name, value in parameters.items())
            lines += ["[[operations]]", f"include-path = {quote(path)}", f"parameters = {{ {inner} }}", ""]
    return "\n".join(lines)


def run(name, document, ids, token, phases):
    folder = DIR / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "schemathesis.toml").write_text(config(ids))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", "openapi.json", "--url", URL]
    command += ["--seed", SEED, "--max-examples", EXAMPLES, "--phases", phases, "--checks", ",".join(CHECKS), "--no-shrink"]
    command += ["--generation-deterministic", "--suppress-health-check", "all", "--request-timeout", "30", "--no-color"]
    # one worker: parallel ones meet a limit of the interpreter
    command += ["--continue-on-failure", "--workers", "1"]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    print(f"== {name}", flush=True)
    return subprocess.run(command, cwd=folder).returncode


def main():
    reported = call(
        "/api/v1/incidents",
        {
            "title": "held to the contract",
            "entity": "acme-fr",
            "facts": {"personal_data": True, "risk": "risk", "times.aware": "2026-03-27T16:20:00Z", "kinds": ["confidentiality"]},
        },
    )["incident"]
    incident = reported["id"]
    obligation = next(o["id"] for o in reported["obligations"] if o["standing"] == "running")
    entry = call(f"/api/v1/incidents/{incident}/attachments?name=a.txt", {"a": "file"})["entry"]
    call("/api/v1/accounts", {"login": "kim", "name": "Kim", "role": "reporter"})
    with urllib.request.urlopen(URL + "/api/v1/openapi.json") as answer:
        document = strict(json.load(answer))
    ids = {}
    for path in document["paths"]:
        known = {"login": "kim", "id": obligation if "/obligations/" in path else incident, "entry": entry}
        if "/tokens/" in path or "/rota/" in path:
            continue
        named = {name: known[name] for name in known if "{" + name + "}" in path}
        if named:
            ids[path] = named
    failed = [
        run("real", document, ids, TOKEN, "examples,coverage,fuzzing"),
        run("any", document, None, TOKEN, "fuzzing"),
        run("nobody", document, ids, None, "fuzzing"),
    ]
    sys.exit(1 if any(failed) else 0)


main()
