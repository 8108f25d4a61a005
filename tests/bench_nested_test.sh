#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# duramen-bench-nested with few of all: it runs, checks its answers, leaves nothing behind, and has a row
# for each figure.
# shellcheck source=tests/bench_kit.sh
. "${SRC:-.}/tests/bench_kit.sh"

quick_rows duramen-bench-nested << 'EOF'
puts of typed keys beside raw ones
gets of typed keys beside raw ones
time of a one-key commit 5 maps deep
bytes written by it
clone of 5000 entries, same transaction
clone of 5000 entries, later
clone from an old state, 10 entries differ
restore of a nested map, 10 entries differ
objects of 5 fields appended to a list
their pages beside their compact JSON text
intersection with a small set : scanning both
load of NDJSON, 1000 entries a durable commit
load : parsing alone, jansson
load : parsing alone, own values
load : parsing alone, own events
EOF
# what a few pages are does not depend on the machine
within "a deep commit writes little" 1 '"bytes written by it"'
within "documents are small" 1 '"their pages beside'
bench_end
