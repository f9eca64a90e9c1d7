# SPDX-License-Identifier: Apache-2.0
"""What the scripts that run Ceilometer have in common: how notifications come in, and how results go out."""

import json
import os
import sys


def read(path):
    """Yields each notification of a file that oslo_listener.py has printed, as oslo.messaging gives it to Ceilometer's
    endpoints, and the priority it came with."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            notification = json.loads(line)
            yield notification.pop("priority"), notification


class Results:
    """Writes lines of JSON to standard output. What anything else prints there (Ceilometer logs there, and a library that
    it uses prints) goes to standard error."""

    def __init__(self):
        self._file = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def write(self, value):
        print(json.dumps(value), file=self._file, flush=True)
