# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For scripts that measure. The script has defined `die`.

# Prints the processors, the disk of a directory if one is given, and the load.
machine() { # [DIRECTORY]
    local disk=''
    [ $# -eq 0 ] || disk=", $(stat -f -c %T "$1") on $(df --output=source "$1" | tail -n 1)"
    echo "$(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)$disk, load $(cut -d ' ' -f 1-3 /proc/loadavg)"
}
# Prints the load after the measurement, and its duration.
machine_at_end() { echo "load $(cut -d ' ' -f 1-3 /proc/loadavg) at the end; all of it took $SECONDS s"; }

# Waits until a conductor listens, and sets `port`.
await_conductor() { # LOG PROCESS
    local hundredths=3000
    until port=$(sed -n 's/.*address=127\.0\.0\.1:\([0-9]*\).*Listening for guests.*/\1/p' "$1") && [ -n "$port" ]; do
        kill -0 "$2" 2>/dev/null || die "the conductor did not start"
        [ $((hundredths -= 1)) -gt 0 ] || die "the conductor does not listen after 30 seconds"
        sleep 0.01
    done
}
