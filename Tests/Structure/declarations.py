# SPDX-License-Identifier: Apache-2.0
"""Prints the number of public declarations that a user of a product can reach: those of the product's module, and of each module of
this package that a reached module exports again (`@_exported import`) or that its public declarations mention (`public import`,
which the compiler requires for such a mention and rejects without one). Counts what has the word `public` or `open`, so neither
cases nor requirements of protocols. Fails for a declaration without a documentation comment.

declarations.py PRODUCT
"""

import pathlib
import re
import sys

# Attributes and modifiers, the access level, more modifiers, and a keyword that begins a declaration.
declaration = re.compile(
    r"\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:\w+(?:\(\w+\))?\s+)*?(?:public|open)\s+(?:\w+(?:\(\w+\))?\s+)*?"
    r"(?:actor|associatedtype|class|enum|extension|func|init|let|macro|operator|protocol|struct|subscript|typealias|var)\b"
)
# An import of a module, or of one declaration of it, that a user of the importing module can notice.
visible = re.compile(
    r"^\s*(?:@\w+\s+)*(?:@_exported\s+(?:public\s+)?|public\s+)import\s+"
    r"(?:(?:class|enum|func|let|protocol|struct|typealias|var)\s+)?(\w+)",
    re.MULTILINE,
)
importing = re.compile(r"\s*(?:@\w+\s+)*(?:\w+\s+)?import\b")
attribute = re.compile(r"\s*(?:@\w+(?:\([^)]*\))?|// swift-format-ignore.*)\s*$")


def files(module):
    """Returns a module's files; none for a module of another package."""
    return sorted(pathlib.Path("Sources", module).rglob("*.swift"))


def declarations(lines):
    """Returns the indices of the lines that begin public declarations."""
    return [index for index, line in enumerate(lines) if declaration.match(line) and not importing.match(line)]


def is_documented(lines, index):
    """Returns whether a documentation comment is directly above this line and its attributes."""
    while index > 0 and attribute.match(lines[index - 1]):
        index -= 1
    return index > 0 and lines[index - 1].strip().startswith("///")


modules, waiting = set(), [sys.argv[1]]
count = 0
undocumented = []
while waiting:
    module = waiting.pop()
    if module in modules:
        continue
    modules.add(module)
    for file in files(module):
        text = file.read_text(encoding="utf-8")
        waiting += visible.findall(text)
        lines = text.splitlines()
        found = declarations(lines)
        count += len(found)
        undocumented += [f"{file}:{index + 1}" for index in found if not is_documented(lines, index)]
if count == 0:
    sys.exit(f"Structure: Sources has no public declarations for the product {sys.argv[1]}; correct the name in Tests/Structure/run.")
if undocumented:
    sys.exit(f"Structure: these public declarations have no documentation comment; add one: {' '.join(undocumented)}")
print(count)
