# SPDX-License-Identifier: Apache-2.0
"""Checks a bill of materials: its structure by the schema of CycloneDX 1.5, and that what was resolved is in it.

check_bill.py BILL RESOLVED
"""

import json
import re
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

bill_path, resolved_path = sys.argv[1:]
with open(bill_path, encoding="utf-8") as file:
    text = file.read()
problems = []
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
if error is not None:
    problems.append(f"it is no CycloneDX 1.5: {error}")
bill = json.loads(text)
for field in ("bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies"):
    if not bill.get(field):
        problems.append(f"it has no {field}")
components = bill.get("components", [])

with open(resolved_path, encoding="utf-8") as file:
    pins = json.load(file)["pins"]
purls = {component.get("purl") for component in components}
for pin in pins:
    address = pin["location"].removeprefix("https://").removesuffix(".git")
    purl = f"pkg:swift/{address}@{pin['state']['version']}"
    if purl not in purls:
        problems.append(f"the resolved package {purl} is not in it")
for library in ("libssl3", "librabbitmq4", "libsqlite3-0", "libc6"):
    if not any((purl or "").startswith(f"pkg:deb/debian/{library}@") for purl in purls):
        problems.append(f"the Debian package {library} is not in it")
if not any((purl or "").startswith("pkg:github/swiftlang/swift@") for purl in purls):
    problems.append("the Swift runtime is not in it")

for component in components:
    name = component["name"]
    if not component.get("version") or not component.get("licenses"):
        problems.append(f"{name} has no version or no licence")
    if component["type"] == "library" and not re.match(r"pkg:(swift|deb|github)/[^@\s]+@[^@\s]+$", component.get("purl", "")):
        problems.append(f"{name} has no purl")
    if component["type"] == "application" and not component.get("hashes"):
        problems.append(f"the program {name} has no checksum")
scopes = {component["name"]: component.get("scope") for component in components}
for name, scope in {"swift-nio": "required", "GRDB.swift": "required", "swift-nio-ssl": "excluded"}.items():
    if scopes.get(name) != scope:
        problems.append(f"{name} has the scope {scopes.get(name)}, and it should have {scope}")

references = {component["bom-ref"] for component in components} | {bill["metadata"]["component"]["bom-ref"]}
entries = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
if set(entries) != references:
    problems.append(f"the dependencies of these are not in it, or are without a component: {sorted(set(entries) ^ references)}")
for ref, depends in entries.items():
    if not set(depends) <= references:
        problems.append(f"{ref} depends on what is not in it: {sorted(set(depends) - references)}")
# What no program depends on, however far, came from nowhere.
reached, border = set(), [bill["metadata"]["component"]["bom-ref"]]
while border:
    ref = border.pop()
    if ref not in reached:
        reached.add(ref)
        border += entries.get(ref, [])
if reached != references:
    problems.append(f"nothing depends on {sorted(references - reached)}")
for match in re.finditer(r'"(/[^"]*|file:[^"]*)"', text):
    problems.append(f"it names a path of this machine: {match[1]}")

for problem in problems:
    print(f"{bill_path}: {problem}", file=sys.stderr)
if problems:
    sys.exit(1)
print(f"{len(components)} components; {len(pins)} resolved packages are in it")
