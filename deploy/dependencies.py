# SPDX-License-Identifier: Apache-2.0
"""Functions of check-dependencies and sbom: read the tested versions in Docs/dependencies.md, and the actual ones."""

import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(ROOT, "Docs", "dependencies.md")
# The first cell of a table's header, and the kind of its rows.
HEADS = {"Swift package": "swift", "Documentation package": "documentation", "Debian package": "debian", "Toolchain": "toolchain"}


class Failure(Exception):
    """An error that the user can act on: its text is one sentence."""


def run(*command):
    """Returns the output of a command that must succeed."""
    result = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode != 0:
        raise Failure(f"{' '.join(command)} failed: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout.decode()


def tested(path=TABLE):
    """Returns the tables of the page: for each kind the rows by name, each with its version, licence and address."""
    tables = {kind: {} for kind in HEADS.values()}
    kind = None
    with open(path, encoding="utf-8") as page:
        for line in page:
            if not line.startswith("|"):
                kind = None
                continue
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if cells[0] in HEADS:
                kind, names = HEADS[cells[0]], cells[1:]
            elif kind and not set(line) <= set("|- \n"):
                row = dict(zip(names, cells[1:]))
                if cells[0] in tables[kind]:
                    raise Failure(f"{path} names {cells[0]} twice; remove one row")
                tables[kind][cells[0]] = row
    for kind, rows in tables.items():
        if not rows:
            raise Failure(f"{path} has no table of kind {kind}; it begins with one of {', '.join(HEADS)}")
    return tables


def resolved(path=None):
    """Returns the versions that SwiftPM chose, each with its address, by name."""
    path = path or os.path.join(ROOT, "Package.resolved")
    try:
        with open(path, encoding="utf-8") as file:
            pins = json.load(file)["pins"]
    except FileNotFoundError:
        raise Failure(f"there is no {path}; run swift package resolve first")
    packages = {}
    for pin in pins:
        address = pin["location"].removesuffix(".git")
        # A pin without a version is a branch or a commit, which the table cannot name.
        packages[address.rsplit("/", 1)[1]] = {"version": pin["state"].get("version", "none"), "address": address}
    return packages


def toolchain():
    match = re.search(r"Swift version (\S+)", run("swift", "--version"))
    if not match:
        raise Failure("swift --version names no version")
    return match[1]


def installed(package):
    """Returns the version of a Debian package, or None."""
    result = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}\n", package], capture_output=True, text=True)
    versions = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("installed ")]
    return versions[0] if versions else None


def is_older(version, than):
    return subprocess.run(["dpkg", "--compare-versions", version, "lt", than]).returncode == 0


def licence_of_files(directory):
    """Returns the SPDX expression of a checkout's licence, read from its text; None for an unknown licence."""
    for name in sorted(os.listdir(directory)):
        if not re.match(r"LICEN[CS]E(\.txt|\.md)?$", name):
            continue
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            text = " ".join(file.read().split())
        if "Apache License Version 2.0" in text:
            return "Apache-2.0 WITH Swift-exception" if "Runtime Library Exception to the Apache" in text else "Apache-2.0"
        if "Permission is hereby granted, free of charge, to any person obtaining a copy" in text:
            return "MIT"
    return None


# The text in a Debian package's copyright file that proves the licence of the table.
EVIDENCE = {
    "Apache-2.0": r"License: Apache-2\.0|Apache License 2\.0",
    "MIT": r"License: (Expat|MIT)",
    "blessing": r"License: public-domain",
    "ISC": r"License: ISC",
    "LGPL-2.1-or-later": r"GNU Lesser General Public\s+License",
    "GPL-3.0-or-later WITH GCC-exception-3.1": r"GCC Runtime Library Exception",
    "GPL-2.0-or-later": r"License: GPL-2(\.0)?\+",
    "MPL-1.1": r"License: MPL-1\.1",
    "PSF-2.0": r"PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2",
}


def licence_is_evident(package, licence):
    path = f"/usr/share/doc/{package}/copyright"
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return licence in EVIDENCE and re.search(EVIDENCE[licence], file.read()) is not None
    except FileNotFoundError:
        raise Failure(f"there is no {path}; Docs/dependencies.md says that {package} has the licence {licence}")


def main(program, body):
    """Runs a script. Prints a failure as one sentence; the exit status is then 1."""
    try:
        sys.exit(body())
    except Failure as failure:
        print(f"{program}: {failure}", file=sys.stderr)
        sys.exit(1)
