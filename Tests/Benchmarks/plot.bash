# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For scripts that draw their figures. The script has set `work` and defined `die`, and is in the root of the repository.

# Makes the virtual environment of plot.py. Before the measurements, so that they are not lost.
prepare_plot() {
    deploy/install-packages python3-venv || die "a Debian package is missing, see above"
    Tests/Compatibility/virtual-environment .build-venv-plot Tests/Benchmarks/plot-requirements.txt >&2 ||
        die "Python's packages are missing"
}
# Draws the figures, and writes them next to the drawing: DIRECTORY/NAME.svg and DIRECTORY/NAME.txt.
draw() { # FIGURES DRAWING
    .build-venv-plot/bin/python Tests/Benchmarks/plot.py "$1" "$work/plot.svg" || die "the figures could not be drawn"
    install -m 644 "$work/plot.svg" "$2"
    install -m 644 "$1" "${2%.svg}.txt"
}
