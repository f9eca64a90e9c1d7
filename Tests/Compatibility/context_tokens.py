#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sign contexts, and read signed ones, with the real PyJWT: as a control plane in Python does.

  context_tokens.py sign --key FILE --kid KID --alg ALG [--instance ID] [--lifetime SECONDS] [--claims JSON]
                                reads contexts on standard input, one JSON object on a line, and prints each with its token;
                                what signs is the code of Docs/protocol.md itself
  context_tokens.py read --key FILE --kid KID --alg ALG
                                reads signed contexts likewise, and prints the claims of each whose signature, times, key and
                                digests are right; any other ends it with status 1
"""

import argparse
import json
import os
import re
import sys

import jwt

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Docs", "protocol.md")


def documented():
    """The names that the document's Python code defines."""
    with open(DOCUMENT, encoding="utf-8") as file:
        blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    signing = [block for block in blocks if "def sign(" in block]
    if len(signing) != 1:
        raise SystemExit(f"Docs/protocol.md has {len(signing)} Python blocks with a function sign, and not one")
    names = {}
    exec(signing[0], names)
    return names


def key(options):
    with open(options.key, "rb") as file:
        return file.read().rstrip(b"\r\n")


def sign(options):
    names = documented()
    for line in sys.stdin:
        signed = names["sign"](
            json.loads(line), key(options), options.kid, options.alg, options.instance, options.lifetime)
        if options.claims:
            claims = jwt.decode(signed["token"], options={"verify_signature": False})
            claims.update(json.loads(options.claims))
            claims = {name: value for name, value in claims.items() if value != "ABSENT"}
            signed["token"] = jwt.encode(
                claims, key(options), algorithm=options.alg, headers={"kid": options.kid})
        print(json.dumps(signed))


def read(options):
    names = documented()
    for line in sys.stdin:
        context = json.loads(line)
        assert jwt.get_unverified_header(context["token"])["kid"] == options.kid
        claims = jwt.decode(
            context["token"], key(options), algorithms=[options.alg], options={"require": ["exp", "iat", "jti"]})
        assert claims["payload_sha256"] == names["digest"](context.get("payload") or {}), "payload"
        request = context.get("request_context") or {}
        published = {name: request[name] for name in names["PUBLISHED"] if request.get(name) is not None}
        assert claims.get("request_context_sha256") == (names["digest"](published) if published else None), "request"
        print(json.dumps(claims))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["sign", "read"])
    parser.add_argument("--key", required=True)
    parser.add_argument("--kid", required=True)
    parser.add_argument("--alg", required=True, choices=["HS256", "EdDSA"])
    parser.add_argument("--instance")
    parser.add_argument("--lifetime", type=int, default=86400)
    parser.add_argument("--claims", help="claims to put above the others; the value ABSENT takes one away")
    options = parser.parse_args()
    {"sign": sign, "read": read}[options.command](options)


if __name__ == "__main__":
    main()
