"""Judges lines by a JSON Schema: schema.py SCHEMA, entries on standard input. Prints `ok` or the fault for each."""
import json
import sys

import jsonschema_rs

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema_rs.meta.validate(schema)
validator = jsonschema_rs.validator_for(schema)
for line in sys.stdin:
    entry = json.loads(line)
    fault = next(validator.iter_errors(entry), None)
    print("ok" if fault is None else fault.message.replace("\n", " "))
