#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make random payloads, and check what the relay's envelopes made of them.

  envelopes.py make DIRECTORY   writes payloads-ascii.jsonl and payloads-utf8.jsonl: {"seed", "payload"} on each line,
                                the same payloads with escapes and without
  envelopes.py check BODIES…    reads files of messages with those payloads, one body on a line and its seed in
                                event_type (property.SEED), as oslo.messaging reads them, and prints each that is not
                                what was made

Exit status of check: 0 when every seed came once and unchanged in each file, 1 else.
"""

import argparse
import json
import os
import random
import struct
import sys

from kombu import serialization
from oslo_messaging._drivers import common

ALPHABETS = [
    "abcXYZ 019_-.",
    "äßéñøÅ",
    "日本語中文العربية",
    "𝄞🐬👩‍👧\U0010ffff\U00010000",
    "\"\\/'`<>&{}[]:,",
    "".join(map(chr, range(0x20))) + "\x7f\x80\x9f",
    # What some readers take for the end of a line, what is no character at all, and what does not stand alone.
    "\u2028\u2029\u0085\ufeff\ufffe\uffff\ufffd\u0000\u0301\u200d\ud7ff\ue000",
]
STRINGS = ["", "null", "true", "NaN", "\\u0041", "\\\\\"", "{\"a\": 1}", "oslo.version", "__proto__", "e\u0301", "é"]
INTEGERS = [0, 1, -1, 2**31, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**40, -(10**400)]
FLOATS = [0.0, -0.0, 0.1, 1e16, 1e15, 1e-7, 123456789012345680.0, 1.7976931348623157e308, 5e-324, -2.5, 1e22, 1e23]


def string(generator):
    if generator.random() < 0.2:
        return generator.choice(STRINGS)
    alphabets = generator.sample(ALPHABETS, generator.randint(1, len(ALPHABETS)))
    return "".join(generator.choice(generator.choice(alphabets)) for _ in range(generator.randint(0, 40)))


def scalar(generator):
    return generator.choice([
        lambda: None,
        lambda: True,
        lambda: False,
        lambda: generator.choice(INTEGERS),
        lambda: generator.randint(-(10**20), 10**20),
        lambda: generator.choice(FLOATS),
        lambda: generator.uniform(-1, 1) * 10.0 ** generator.randint(-300, 300),
        lambda: string(generator),
        lambda: string(generator),
        lambda: [],
        lambda: {},
    ])()


def value(generator, depth):
    choice = generator.random()
    if depth == 0 or choice < 0.5:
        return scalar(generator)
    if choice < 0.75:
        return [value(generator, depth - 1) for _ in range(generator.randint(0, 4))]
    return {string(generator): value(generator, depth - 1) for _ in range(generator.randint(0, 4))}


def payload(seed):
    """The payload of this seed: always the same one."""
    generator = random.Random(seed)
    result = {string(generator): value(generator, generator.randint(0, 6)) for _ in range(generator.randint(0, 8))}
    if seed % 10 == 1:
        nested = scalar(generator)
        for _ in range(20):
            nested = [nested] if generator.random() < 0.5 else {string(generator): nested}
        result["nested"] = nested
    if seed % 25 == 2:
        result["list"] = [scalar(generator) for _ in range(1000)]
    if seed % 50 == 3:
        result["long"] = "".join(generator.choice("a\"\\\né𝄞") for _ in range(65536))
    return result


def same(one, other):
    """Equality that distinguishes true from 1, 1 from 1.0, 0.0 from -0.0, and one order of members from another."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    return one == other


def make(options):
    for form in ("ascii", "utf8"):
        with open(os.path.join(options.directory, f"payloads-{form}.jsonl"), "w", encoding="utf-8", newline="\n") as file:
            for seed in range(options.count):
                line = {"seed": seed, "payload": payload(seed)}
                file.write(json.dumps(line, ensure_ascii=form == "ascii") + "\n")
    return 0


def problem(body, payloads):
    """What is wrong with one message, or None; and its seed, as far as it can be known."""
    seed = None
    try:
        if any(byte >= 0x80 for byte in body):
            return seed, "not pure ASCII"
        # As oslo.messaging does: kombu by the content type, then the envelope, if there is one.
        message = common.deserialize_msg(serialization.loads(body, "application/json", "utf-8"))
        seed = int(message["event_type"].removeprefix("property."))
        if not same(message["payload"], payloads[seed]):
            return seed, "another payload"
    except Exception as error:
        return seed, repr(error)
    return seed, None


def failures(path, payloads):
    """What is wrong with the messages of one file."""
    with open(path, "rb") as file:
        bodies = file.read().split(b"\n")
    if bodies.pop() != b"":
        yield "the last line is not ended"
    missing = set(range(len(payloads)))
    for number, body in enumerate(bodies):
        seed, what = problem(body, payloads)
        if what is None and seed not in missing:
            what = "a second time"
        missing.discard(seed)
        if what is not None:
            yield f"line {number + 1}, seed {seed}: {what}"
    for seed in sorted(missing):
        yield f"seed {seed}: missing"


def check(options):
    payloads = [payload(seed) for seed in range(options.count)]
    found = [f"{os.path.basename(path)}: {failure}" for path in options.bodies for failure in failures(path, payloads)]
    for line in found:
        print(line)
    return 1 if found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="how many payloads (default: %(default)s)")
    commands = parser.add_subparsers(required=True)
    maker = commands.add_parser("make")
    maker.add_argument("directory")
    maker.set_defaults(run=make)
    checker = commands.add_parser("check")
    checker.add_argument("bodies", nargs="+")
    checker.set_defaults(run=check)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
