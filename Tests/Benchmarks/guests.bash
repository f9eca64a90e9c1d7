# SPDX-License-Identifier: Apache-2.0
# The functions that idle and storm share: programs, certificates, a conductor without a broker, and quiet guests. The
# scripts source this file; they set `name` and `scratch` before, and have `set -eu`.
# shellcheck shell=bash disable=SC2154

# shellcheck source=Tests/Benchmarks/machine.bash
. Tests/Benchmarks/machine.bash

identities=200
work='' processes=()
# As in `run`, every process that was started is ended by its process id, however the script ends.
die() { echo "Benchmarks/$name: $*" >&2; exit 1; }
stop_all() {
    local status=$? process
    trap - EXIT
    for process in "${processes[@]+"${processes[@]}"}"; do
        kill -KILL "$process" 2>/dev/null || continue
        wait "$process" 2>/dev/null || true
    done
    if [ -n "$work" ]; then
        [ $status -ne 1 ] || tail -n 20 "$work"/*.log >&2 2>/dev/null || true
        rm -rf "$work"
    fi
    exit $status
}

# Builds the programs, creates certificates, and raises the limit of descriptors for this many guests.
prepare() { # GUESTS
    local number limit needed=$(($1 + 512)) build=(swift build -c release)
    # The conductor has a descriptor for each guest, and so has the program of the guests.
    limit=$(ulimit -Hn)
    [ "$limit" = unlimited ] || [ "$limit" -ge "$needed" ] ||
        die "$1 guests need $needed descriptors in a process, and the limit is $limit; raise it (ulimit -Hn, as root) or request fewer"
    ulimit -n "$limit"
    deploy/install-packages ca-certificates git librabbitmq-dev libsqlite3-dev libssl-dev openssl pkg-config util-linux ||
        die "a Debian package is missing, see above"
    command -v swift >/dev/null || die "there is no Swift toolchain in PATH; install one from https://swift.org/install"
    "${build[@]}" --scratch-path "$scratch" --product conductor >&2 || die "the build failed"
    conductor=$("${build[@]}" --scratch-path "$scratch" --show-bin-path)/conductor
    build+=(--package-path Tests/Benchmarks --scratch-path .build-relay-benchmarks)
    "${build[@]}" >&2 || die "the build of the benchmarks failed"
    programs=$("${build[@]}" --show-bin-path)
    umask 077
    work=$(mktemp -d)
    "$conductor" certificates init --directory "$work/tls" --days 2 >/dev/null
    for ((number = 0; number < identities; number++)); do
        "$conductor" certificates guest "bench-$number" --directory "$work/tls" --days 2 >/dev/null
    done
}

# Writes a conductor's configuration: the defaults, and the settings on standard input. Two hundred identities are used
# for all guests, so each has as many connections as necessary.
configure() { # NAME PORT GUESTS
    {
        cat <<YAML
listen: {host: 127.0.0.1, port: $2}
tls:
  certificate: $work/tls/conductor.pem
  key: $work/tls/conductor.key
  guest_ca: $work/tls/ca.pem
drivers: [noop]
# Ten thousand guests are more than one tenant may have.
identity: {require_tenant: false}
limits:
  connections_per_guest: $(($3 / identities + 100))
YAML
        cat
    } >"$work/$1.yaml"
}

# Starts a conductor with that configuration, through an optional command (taskset), and waits until it listens; sets
# `server` and `port`.
start_conductor() { # NAME [COMMAND...]
    : >"$work/$1.log"
    "${@:2}" "$conductor" serve --config "$work/$1.yaml" >"$work/$1.out" 2>"$work/$1.log" &
    server=$!
    processes+=("$server")
    await_conductor "$work/$1.log" "$server"
}

# Starts the plain server; sets `server` and `port`.
start_plain() { # THREADS TICKETS [COMMAND...]
    local tenths=100
    [ -p "$work/plain.in" ] || mkfifo "$work/plain.in"
    : >"$work/plain.out"
    "${@:3}" "$programs/plain-server" "$work/tls" "$1" "$2" <"$work/plain.in" >"$work/plain.out" 2>"$work/plain.log" &
    server=$!
    processes+=("$server")
    # It ends with its standard input, which is kept open here.
    exec 6>"$work/plain.in"
    until port=$(sed -n 's/^port=//p' "$work/plain.out") && [ -n "$port" ]; do
        kill -0 "$server" 2>/dev/null || die "the plain server did not start"
        [ $((tenths -= 1)) -gt 0 ] || die "the plain server does not listen after 10 seconds"
        sleep 0.1
    done
}

# Ends a process that this script started, and waits for its end.
stop() { # SIGNAL PROCESS
    kill "-$1" "$2" 2>/dev/null || true
    wait "$2" 2>/dev/null || true
}

# Starts the program of the guests for the server at `port`; `tell` sends it commands.
start_guests() { # [COMMAND...]
    [ -p "$work/guests.in" ] || mkfifo "$work/guests.in" "$work/guests.out"
    "$@" "$programs/quiet-guests" "$port" "$work/tls" "$identities" <"$work/guests.in" >"$work/guests.out" 2>"$work/guests.log" &
    guests=$!
    processes+=("$guests")
    exec 8>"$work/guests.in" 7<"$work/guests.out"
    hear
}
# The kernel closes their connections.
stop_guests() {
    exec 8>&- 7<&-
    stop KILL "$guests"
}

# Sends a command to the guests; sets `answer`.
tell() { # COMMAND
    echo "$1" >&8
    hear
}
# The same in two steps, for work between them.
ask() { echo "$1" >&8; }
hear() { read -r -t 300 answer <&7 || die "the guests have failed, or have printed nothing for five minutes"; }

# Prints a value of the guests' answer.
value() { # NAME
    local pair
    for pair in $answer; do
        case "$pair" in "$1"=*) echo "${pair#*=}" && return ;; esac
    done
    die "the guests' answer has no value $1: $answer"
}

# Prints the processor time of all threads of a process, in nanoseconds.
processor_nanoseconds() { awk '{ sum += $1 } END { printf "%.0f\n", sum }' "/proc/$1"/task/*/schedstat; }

# Prints a process's own resident memory in KiB (`Anonymous`), or another line of the kernel's sums.
memory_kib() { # PROCESS [LINE]
    awk -v line="${2:-Anonymous}:" '$1 == line { print $2 }' "/proc/$1/smaps_rollup"
}

descriptors() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }

# Waits until a process has no more descriptors than this.
await_descriptors() { # PROCESS COUNT
    local tenths=300
    until [ "$(descriptors "$1")" -le "$2" ]; do
        [ $((tenths -= 1)) -gt 0 ] || die "connections that guests have closed are still open after 30 seconds"
        sleep 0.1
    done
}
