# SPDX-License-Identifier: Apache-2.0
"""Prints the number of public declarations that a user of a product can reach: those of its module, and of the modules that it
exports again (`@_exported import`). Counts what has the word `public` or `open`, so neither cases nor requirements of protocols.

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
exported = re.compile(
    r"^\s*@_exported\s+(?:public\s+)?import\s+(?:(?:class|enum|func|let|protocol|struct|typealias|var)\s+)?(\w+)",
    re.MULTILINE,
)


def sources(module):
    """Returns the texts of a module's files; none for a module of another package."""
    return [file.read_text(encoding="utf-8") for file in sorted(pathlib.Path("Sources", module).rglob("*.swift"))]


modules, waiting = set(), [sys.argv[1]]
count = 0
while waiting:
    module = waiting.pop()
    if module in modules:
        continue
    modules.add(module)
    for text in sources(module):
        waiting += exported.findall(text)
        count += sum(declaration.match(line) is not None for line in text.splitlines())
if count == 0:
    sys.exit(f"Structure: Sources has no public declarations for the product {sys.argv[1]}; correct the name in Tests/Structure/run.")
print(count)
