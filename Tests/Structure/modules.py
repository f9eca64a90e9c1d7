# SPDX-License-Identifier: Apache-2.0
"""Compares the table of modules in Docs/architecture.md with the manifest. Prints one line, or a line for each problem.

modules.py names MANIFEST   the table has a row for each library and program of Sources, and no other
modules.py uses MANIFEST    its second column covers what the manifest says that they use, and nothing else
modules.py order MANIFEST   no module uses one from a row above its own

MANIFEST is the output of `swift package dump-package`.
"""

import json
import pathlib
import re
import sys

check, manifest = sys.argv[1:]
document = "Docs/architecture.md"


def table():
    """Returns the modules that each row says that its own uses, in the order of the rows."""
    text = pathlib.Path(document).read_text(encoding="utf-8")
    section = re.search(r"^## Modules\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if section is None:
        sys.exit(f"Structure: {document} has no section Modules; add it.")
    rows = {}
    for line in section[1].splitlines():
        if line.startswith("| module |"):
            rows = {}
        elif row := re.match(r"\| `([^`]+)`[^|]*\|([^|]*)\|", line):
            rows[row[1]] = re.findall(r"`([^`]+)`", row[2])
        elif rows and not line.startswith("|"):
            break
    return rows


def arrows():
    """Returns the targets of the package that each target of Sources depends on."""
    with open(manifest, encoding="utf-8") as file:
        targets = json.load(file)["targets"]
    names = {target["name"] for target in targets}
    uses = {}
    for target in targets:
        if target["type"] != "test" and target.get("path") is None:
            named = [(d.get("byName") or d.get("target") or [None])[0] for d in target["dependencies"]]
            uses[target["name"]] = [name for name in named if name in names]
    return uses


def reachable(start, uses):
    """Returns the modules that these modules use, directly or through others, and these modules."""
    found, waiting = set(), list(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += uses.get(name, [])
    return found


rows, uses = table(), arrows()
# Modules of C have no row: the text below the table names them.
modules = {name for name in uses if any(pathlib.Path("Sources", name).rglob("*.swift"))}
problems = []
if check == "names":
    for name in sorted(modules - rows.keys()):
        problems.append(f"{document} has no row for the module {name}; add it above the modules that it uses.")
    for name in sorted(rows.keys() - modules):
        problems.append(f"{document} has a row for {name}, which is no library or program of Sources; remove it.")
    result = f"the table of modules has the {len(modules)} libraries and programs of Sources"
elif check == "uses":
    for name in sorted(modules & rows.keys()):
        for used in sorted(set(uses[name]) - reachable(rows[name], uses)):
            problems.append(f"{name} uses {used} by Package.swift; name it in its row of {document}.")
        for used in sorted(set(rows[name]) - set(uses[name])):
            problems.append(f"{name} does not use {used} by Package.swift; remove it from its row of {document}.")
    result = f"the table of modules covers the {sum(len(uses[name]) for name in modules)} dependencies of the manifest"
else:
    order = list(rows)
    for index, name in enumerate(order):
        for used in sorted({*rows[name], *uses.get(name, [])} & {*order[: index + 1]}):
            problems.append(f"{name} uses {used}, whose row is not below its own; move the row, or remove the dependency.")
    result = "no module uses one from a row above its own"
for problem in problems:
    print(f"Structure: {problem}", file=sys.stderr)
if problems:
    sys.exit(1)
print(f"ok: {result}")
