// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// A command inherits the same under `exec` as without it.
@Suite("guest-agent exec: properties that the command inherits", .timeLimit(.minutes(2)))
struct GuestAgentInheritanceTests {
    /// A property that a program inherits over exec(2), according to POSIX or Linux.
    struct Property: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Shell text that the caller runs first; then it becomes the program in "$@".
        let setup: String
        /// The command; nil for a script with the text ``probe``.
        let command: [String]?
        /// Shell text.
        let probe: String
        /// A text that the command's output must contain.
        let expected: String

        init(_ name: String, setup: String, probe: String = "", command: [String]? = nil, expected: String) {
            self.testDescription = name
            self.setup = setup
            self.probe = probe
            self.command = command
            self.expected = expected
        }

        /// - Parameter python: the Python statements that the caller runs first.
        init(_ name: String, python: String, probe: String = "", command: [String]? = nil, expected: String) {
            let python = "\(python); import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
            self.init(
                name, setup: "set -- python3 -c '\(python)' \"$@\"", probe: probe, command: command, expected: expected)
        }
    }

    private static let prctl = "import ctypes; prctl = ctypes.CDLL(None).prctl"
    private static func status(_ fields: String) -> String { "grep -E \"^(\(fields)):\" /proc/self/status" }

    static let properties =
        [
            Property("the nice value", setup: "set -- nice -n 7 \"$@\"", probe: "nice", expected: "7"),
            Property("the working directory", setup: "cd /usr/bin", probe: "pwd -P", expected: "/usr/bin"),
            Property("the umask", setup: "umask 0137", probe: "umask", expected: "0137"),
            Property(
                "limits", setup: "ulimit -c 0; ulimit -S -n 211; ulimit -S -s 4096; ulimit -f 999999",
                probe: "cat /proc/self/limits", expected: "211"),
            // Shells change masks and the disposition of SIGCHLD themselves.
            Property(
                "the signal mask",
                python: "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [1, 10, 15, 17, 20, 40])",
                command: ["grep", "-E", "^SigBlk", "/proc/self/status"], expected: "0000008000094201"),
            Property(
                "ignored signals",
                python: "import signal; [signal.signal(n, signal.SIG_IGN) for n in [1, 2, 3, 10, 14, 15, 17, 20, 40]]",
                command: ["grep", "-E", "^SigIgn", "/proc/self/status"], expected: "1097207"),
            Property(
                "pending signals",
                python: "import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, [10]); os.kill(os.getpid(), 10)",
                command: ["python3", "-c", "import signal; print(signal.sigwait([10]))"], expected: "10"),
            Property(
                "the alarm clock",
                python: "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [14]); signal.alarm(1)",
                command: ["python3", "-c", "import signal; print(signal.sigwait([14]))"], expected: "14"),
            Property(
                "the process group and the session", setup: "export CALLER=$$",
                probe: """
                    for id in pgid sid; do [ $(ps -o $id= -p $$) = $(ps -o $id= -p $CALLER) ] && echo same $id; done
                    """, expected: "same sid"),
            Property(
                "the controlling terminal",
                setup: "set -- script --quiet --return --command \"$(printf \"%s\" \"$COMMAND\")\" /dev/null",
                probe: "tty </dev/tty >/dev/null && ps -o stat= -p $$ | grep -o +", expected: "+"),
            Property(
                "locks of open files", setup: "cd \"$WORK\"; exec 9>lock; flock 9",
                probe: "flock -n 9 && echo ours; flock -n lock true || echo locked", expected: "locked"),
            Property(
                "descriptors", setup: "exec 2>/dev/null; exec 5</etc/passwd 7>>\"$WORK/file\" 9</dev/zero",
                probe: """
                    head -c 4 <&5; echo; echo text >&7
                    for file in /proc/$$/fd/*; do
                    case ${file##*/} in 2) ;; *) echo ${file##*/} $(readlink $file | tr -d 0-9) ;; esac; done
                    """, expected: "9 /dev/zero"),
            Property(
                "closed standard streams", setup: "exec 3>&1 </dev/null <&- >&-",
                probe: "for file in 0 1; do [ -e /proc/$$/fd/$file ] || echo $file is closed >&3; done",
                expected: "1 is closed"),
            Property(
                "the score for the out-of-memory killer", setup: "echo 345 >/proc/self/oom_score_adj",
                probe: "cat /proc/self/oom_score_adj", expected: "345"),
            Property(
                "the scheduling policy", setup: "set -- chrt --batch 0 \"$@\"", probe: "chrt -p $$ | sed \"s/.*: //\"",
                expected: "SCHED_BATCH"),
            Property(
                "the I/O priority", setup: "set -- ionice -c 2 -n 6 \"$@\"", probe: "ionice -p $$",
                expected: "best-effort: prio 6"),
            Property(
                "processors", setup: "set -- taskset --cpu-list \(Self.lastProcessor) \"$@\"",
                probe: Self.status("Cpus_allowed_list"), expected: "Cpus_allowed_list:\t\(Self.lastProcessor)"),
            Property(
                "users, groups and capabilities", setup: "set -- setpriv --no-new-privs \"$@\"",
                probe: Self.status("Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp"), expected: "NoNewPrivs:\t1"),
            Property(
                "the signal at the parent's end", python: "\(Self.prctl); prctl(1, 12)",
                probe: """
                    exec python3 -c "import ctypes; x = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(x)); print(x.value)"
                    """, expected: "12"),
            Property(
                "the timers' slack", python: "\(Self.prctl); prctl(29, 123456)",
                probe: "exec python3 -c \"import ctypes; print(ctypes.CDLL(None).prctl(30))\"", expected: "123456"),
            Property(
                "what a core dump holds", setup: "echo 0x7f >/proc/self/coredump_filter",
                probe: "cat /proc/self/coredump_filter", expected: "0000007f"),
        ] + (Namespaces.canMount ? Self.propertiesOfNamespaces : [])

    /// The last of the processors that this process may use, because a program would begin with the first by default.
    private static let lastProcessor = {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let list = text.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") } ?? "0"
        return list.split { !$0.isNumber }.last.map(String.init) ?? "0"
    }()

    /// The properties that only root can set, and not in every container.
    private static let propertiesOfNamespaces = [
        // A root directory with the content of the present one, and one more file. It is not in a namespace of its own,
        // which would keep volumes of other tests mounted.
        Property(
            "the root directory",
            setup: """
                set -- sh -c '
                    AGENT=$1; shift; root=$WORK/root
                    mkdir -p "$root" && mount -t tmpfs none "$root" || exit 1
                    trap "umount --recursive --lazy \"$root\"" EXIT
                    cd "$root" && touch another-root || exit 1
                    for name in bin lib lib64 sbin usr etc opt dev proc tmp; do
                        if [ -L "/$name" ]; then cp -P "/$name" .
                        elif [ -d "/$name" ]; then mkdir "$name" && mount --bind "/$name" "$name" || exit 1
                        fi
                    done
                    for path in "$AGENT" "$WORK"; do
                        mkdir -p ".$path" && mount --bind "$path" ".$path" || exit 1
                    done
                    chroot . "$@"' sh \(URL(filePath: Program.guestAgent.path).deletingLastPathComponent().path) "$@"
                """, probe: "ls -d /another-root; pwd", expected: "/another-root"),
        Property(
            "namespaces",
            setup: """
                set -- unshare --uts --ipc --net --cgroup sh -c '
                    hostname inherited; CALLER="$(readlink /proc/self/ns/*)"; export CALLER; exec "$@"' sh "$@"
                """, probe: "hostname; [ \"$(readlink /proc/self/ns/*)\" = \"$CALLER\" ] && echo the same",
            expected: "inherited"),
    ]

    /// Returns the output of the probe, which runs as the command of `prefix`.
    private func output(_ property: Property, _ relay: RelayFixture, under prefix: [String]) async throws -> [String] {
        let probe = try relay.write(property.probe + "\n", to: "probe")
        let command = prefix + (property.command ?? ["sh", probe])
        let end = try await Program("setsid").run(
            ["--wait", "sh", "-c", "\(property.setup)\nexec \"$@\"", "sh"] + command,
            environment: [
                "WORK": relay.directory.path,
                "COMMAND": "exec \(command.joined(separator: " ")) 2>/dev/null",
            ])
        #expect(end.status == .exited(0), "\(end.errorText)")
        return end.standardOutput
    }

    @Test("A command inherits the same property under exec as without it", arguments: Self.properties)
    func sameProperty(_ property: Property) async throws {
        try await RelayFixture.with { relay in
            let direct = try await self.output(property, relay, under: [])
            #expect(direct.contains { $0.contains(property.expected) }, "the caller did not set it: \(direct)")
            let prefix = try relay.execWithoutNotification()
            #expect(try await self.output(property, relay, under: prefix) == direct)
        }
    }

    @Test("Arguments and environment reach the command byte for byte")
    func exactBytes() async throws {
        try await RelayFixture.with { relay in
            let caller = try relay.write(
                #"""
                import os, sys
                every = bytes(range(1, 256))
                environment = {b"PATH": os.environb[b"PATH"], b"EVERY": every, b"EMPTY": b"", b"caf\xe9": b"\xff", b"a b": b"c=d"}
                arguments = [every, b"", b"--", b"--help", b"caf\xe9", b"\n", "größe".encode()]
                command = [os.fsencode(a) for a in sys.argv[1:]] + arguments
                os.execvpe(command[0], command, environment)
                """#, to: "caller.py")
            let probe = try relay.write(
                #"""
                import sys
                print(open("/proc/self/cmdline", "rb").read())
                for entry in open("/proc/self/environ", "rb").read().split(b"\0"):
                    if not entry.startswith(b"GUEST_AGENT_END_FIELDS="):
                        print(entry)
                """#, to: "probe.py")
            let command = ["/usr/bin/python3", probe]
            let direct = try await Program("python3").run([caller] + command)
            try #require(direct.status == .exited(0), "\(direct.errorText)")
            #expect(direct.standardOutput.contains { $0.contains(#"caf\xe9"#) })
            let end = try await Program("python3").run([caller] + relay.execWithoutNotification() + command)
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(end.standardOutput == direct.standardOutput)
        }
    }

    @Test("The context's file name need not be UTF-8, and other arguments that are not are rejected")
    func nonUTF8Arguments() async throws {
        try await RelayFixture.with { relay in
            let prefix = try relay.execWithoutNotification()
            let script = #"""
                context=$(printf "$1/caf\351.json"); cp "$3" "$context"
                "$4" exec --config "$2" --context="$context" -- echo done
                "$4" exec --config "$2" --context "$context.none" -- echo done; echo $?
                "$4" exec --config "$2" --context "$3" --set spool.directory="$(printf 'caf\351')" -- echo done; echo $?
                """#
            let end = try await Program("sh").run([
                "-c", script, "sh", relay.directory.path, prefix[3], prefix[5], prefix[0],
            ])
            #expect(end.standardOutput == ["done", "78", "64"], "\(end.errorText)")
            #expect(end.errorText.contains("caf\u{FFFD}.json.none does not exist"), "\(end.errorText)")
            #expect(end.errorText.contains("is not UTF-8"), "\(end.errorText)")
        }
    }

    @Test("A hangup that the caller ignores, as with nohup, ends neither the command nor exec")
    func ignoredHangup() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let (file, context) = (try relay.guestFile(ports: [conductor.port]), try relay.contextFile())
                let end = try await Program("sh").run([
                    "-c", #"trap "" HUP; exec "$@""#, "sh", Program.guestAgent.path, "exec", "--config", file,
                    "--context",
                    context, "--", "sh", "-c", "echo ready; read line; echo $line",
                ]) { agent in
                    try await agent.standardOutput.line(containing: "ready")
                    try agent.send(.terminalClosed)
                    try await agent.write("finished")
                }
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(end.standardOutput == ["ready", "finished"])
                _ = try await conductor.notification(of: "dbaas.database_create.end")
            }
        }
    }
}

extension RelayFixture {
    /// Returns the arguments of an `exec` that reports nothing, and so waits for no conductor: the program, its
    /// command, two options with their values, and `--`.
    func execWithoutNotification() throws -> [String] {
        let context = try self.write(
            #"{"auth_token": null, "user_identity": "-", "request_id": "r", "project_id": "t"}"#,
            to: "context-\(UUID().uuidString).json")
        return [
            Program.guestAgent.path, "exec", "--config", try self.guestFile(ports: ["1"]), "--context", context, "--",
        ]
    }
}
