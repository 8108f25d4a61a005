#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# duramen-bench-history with few of all: it runs, checks its answers, leaves nothing behind, and has a row
# for each figure. What the figures are says nothing here.
set -uo pipefail

bench=$BUILD/duramen-bench-history
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
durable commit, all kept, p50
file, a commit
open half the history back and get, warm, p50
the same, cold
full scan, old : newest
last:100, file
last:100, file, compacted with its history
last:100, file, a snapshot held since the start
LMDB, file
diff with 10 changes
diff with 10 changes, read
log of a key that changed 5 times in all commits
diff over 10,000 commits
restore over them
its commit
restore 10,000 commits back : 3 diffs and the puts
EOF
# what a few pages are does not depend on the machine
is "a diff reads what differs" 1 "$(grep -c '"diff with 10 changes, read".*"within":true' <<< "$rows")"
is "the file stays small" 2 "$(grep -c '"last:100, file.*"within":true' <<< "$rows")"
"$bench" --only space --space-commits 200 --entries 500 --dir "$TMPDIR/work" > "$TMPDIR/out"
is "one section alone" 4 "$(grep -c '' "$TMPDIR/out")"
"$bench" --entries none 2> "$TMPDIR/err"
is "a number that is none" 2 $?
"$bench" --help | grep -q -- '--strict'
is "help" 0 $?
echo "$passed passed, $failed failed"
[ $failed = 0 ]
