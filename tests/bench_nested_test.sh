#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# duramen-bench-nested with few of all: it runs, checks its answers, leaves nothing behind, and has a row
# for each figure. What the figures are says nothing here.
set -uo pipefail

bench=$BUILD/duramen-bench-nested
passed=0 failed=0
is() { # WHAT EXPECTED GOT
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf '%s: expected "%s" but got "%s"\n' "$1" "$2" "$3"
	fi
}

mkdir -p "$TMPDIR/work"
rows=$("$bench" --quick --json --dir "$TMPDIR/work" 2> "$TMPDIR/err")
is "status" 0 $?
is "nothing is left" "" "$(ls "$TMPDIR/work")"
while read -r name; do
	is "a row: $name" 1 "$(grep -cF "\"name\":\"$name\",\"value\":" <<< "$rows")"
done << 'EOF'
puts of typed keys beside raw ones
gets of typed keys beside raw ones
time of a one-key commit 5 maps deep
bytes written by it
clone of 5000 entries, same transaction
clone of 5000 entries, later
objects of 5 fields appended to a list
their pages beside their compact JSON text
EOF
# what a few pages are does not depend on the machine
is "a deep commit writes little" 1 "$(grep -c '"bytes written by it".*"within":true' <<< "$rows")"
is "documents are small" 1 "$(grep -c '"their pages beside.*"within":true' <<< "$rows")"
"$bench" --rounds none 2> "$TMPDIR/err"
is "a number that is none" 2 $?
"$bench" --help | grep -q -- '--strict'
is "help" 0 $?
echo "$passed passed, $failed failed"
[ $failed = 0 ]
