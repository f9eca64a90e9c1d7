# SPDX-License-Identifier: Apache-2.0
"""Starts the programs that Tests/Benchmarks/footprint has built, reads their values in /proc, and prints tables."""

import argparse
import os
import random
import re
import select
import signal
import statistics
import subprocess
import sys
import time

# The instance that the guest's certificate names.
INSTANCE = "2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa"
READY = b"Operations may begin"
# Goals: resident memory at rest in KiB, and the time to start in milliseconds.
MEMORY_GOAL = 25 << 10
START_GOAL = 100.0
# The maximum time in seconds until a program is ready, or has ended.
PATIENCE = 30.0
# A program is at rest this many seconds after it is ready: connected, its spool verified, its first certificates
# checked.
REST = 4.0

running = []


def stop_all(*_):
    """Ends every program that was started, by process id."""
    for program in running:
        if program.poll() is None:
            program.kill()
            program.wait()


class Program:
    """A program that was started, and the time until it was ready."""

    def __init__(self, arguments, environment=None):
        start = time.perf_counter()
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        running.append(self.process)
        self.said = b""
        self.wait_for(READY)
        # Milliseconds from before the fork until the line has been read.
        self.start = (time.perf_counter() - start) * 1000

    def wait_for(self, text):
        end = time.monotonic() + PATIENCE
        while text not in self.said:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise SystemExit(f"{self.process.args[0]} is not ready after {PATIENCE} s; it said: {self.said.decode()}")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise SystemExit(f"{self.process.args[0]} ended before it was ready; it said: {self.said.decode()}")
            self.said += more

    def read(self, name):
        with open(f"/proc/{self.process.pid}/{name}", encoding="utf-8") as file:
            return file.read()

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        running.remove(self.process)
        # The bare program handles no signal.
        if status not in (0, -signal.SIGTERM):
            raise SystemExit(f"{self.process.args[0]} ended with {status}; it said: {self.said.decode()}")


def kib(text, name):
    """Returns a value of /proc/PID/status or smaps_rollup, in KiB."""
    return int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE).group(1))


def group_of(path):
    """Returns the group of a mapping of this path."""
    name = os.path.basename(path)
    return re.sub(r"(\.so).*", r"\1", name) if name else "anonymous: heap's arenas, stacks"


def mappings(text):
    """Returns the resident KiB by mapping, and the part of it that is in no file any more, from /proc/PID/smaps.

    Not Private_Dirty: a program that has just been written has pages in the system's cache that are dirty for the disk.
    """
    groups, current = {}, None
    for line in text.splitlines():
        header = re.match(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$", line)
        if header:
            current = groups.setdefault(group_of(header.group(1)), [0, 0])
            continue
        name, _, value = line.partition(":")
        if name == "Rss":
            current[0] += int(value.split()[0])
        elif name == "Anonymous":
            current[1] += int(value.split()[0])
    return sorted(groups.items(), key=lambda item: -item[1][0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", required=True)
    parser.add_argument("--port", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--programs", action="append", required=True)
    parser.add_argument("--starts", type=int, default=30)
    parser.add_argument("--mappings", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    kinds = dict(item.split(":", 1) for item in options.programs)
    number = 0

    def agent(kind, port, spool=None):
        nonlocal number
        number += 1
        spool = spool or f"{options.work}/spool-{number}"
        return Program([f"{kinds[kind]}/agent", options.tls, port, spool, INSTANCE])

    memory, maps = {}, {}
    for kind in kinds:
        # No process listens on port 1.
        for name, port, sign in (("with a conductor", options.port, b"Connected"), ("no conductor", "1", b"Failed to connect")):
            program = agent(kind, port)
            program.wait_for(sign)
            time.sleep(REST)
            memory[kind, name] = program.read("status") + program.read("smaps_rollup")
            maps[kind, name] = mappings(program.read("smaps"))
            program.stop()
        program = Program([f"{kinds[kind]}/bare"])
        time.sleep(0.2)
        memory[kind, "does nothing"] = program.read("status") + program.read("smaps_rollup")
        program.stop()

    starts = {}
    for turn in range(options.starts + 1):
        cases = [(kind, what) for kind in kinds for what in ("new spool", "spool that is there", "does nothing")]
        random.shuffle(cases)
        for kind, what in cases:
            if what == "does nothing":
                program = Program([f"{kinds[kind]}/bare"])
            else:
                program = agent(kind, options.port, f"{options.work}/kept-{kind}" if what == "spool that is there" else None)
            # The first time takes longer.
            if turn:
                starts.setdefault((kind, what), []).append(program.start)
            program.stop()

    print("| linked | at rest | resident, KiB | of it anonymous | of files | proportional (Pss) | threads |\n|---|---|---|---|---|---|---|")
    for (kind, name), text in memory.items():
        figures = [kib(text, field) for field in ("VmRSS", "RssAnon", "RssFile", "Pss", "Threads")]
        print(f"| {kind} | {name} | " + " | ".join(map(str, figures)) + " |")
    print("\n| linked | start, ms | median | least | most | starts |\n|---|---|---|---|---|---|")
    for (kind, what), times in sorted(starts.items()):
        print(f"| {kind} | {what} | {statistics.median(times):.1f} | {min(times):.1f} | {max(times):.1f} | {len(times)} |")
    print("\n| linked | stripped, KiB | that does nothing, KiB | shared libraries |\n|---|---|---|---|")
    for kind, directory in kinds.items():
        listed = subprocess.run(["ldd", f"{directory}/agent"], capture_output=True, text=True, check=True).stdout
        names = sorted({os.path.basename(line.split()[0]) for line in listed.splitlines() if "=>" in line})
        sizes = [os.path.getsize(f"{directory}/{name}") // 1024 for name in ("agent", "bare")]
        print(f"| {kind} | {sizes[0]} | {sizes[1]} | {len(names)}: {', '.join(names)} |")
    if options.mappings:
        for (kind, name), groups in maps.items():
            print(f"\n| {kind}, {name} | resident, KiB | of it anonymous |\n|---|---|---|")
            for group, (resident, dirty) in groups[:20]:
                print(f"| {group} | {resident} | {dirty} |")

    if not options.check:
        return 0
    # The program as Swift builds it; other ways to link it are its author's choice.
    worst = max(kib(memory["dynamic", name], "VmRSS") for name in ("with a conductor", "no conductor"))
    slowest = max(statistics.median(starts["dynamic", what]) for what in ("new spool", "spool that is there"))
    print()
    for holds, text in (
        (worst <= MEMORY_GOAL, f"resident at rest: {worst} KiB (at most {MEMORY_GOAL})"),
        (slowest <= START_GOAL, f"start: {slowest:.1f} ms (at most {START_GOAL:.0f})"),
    ):
        print(f"{'holds ' if holds else 'BROKEN'}  {text}")
    return 0 if worst <= MEMORY_GOAL and slowest <= START_GOAL else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    finally:
        stop_all()
