#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# duramen-bench-history with few of all: it runs, checks its answers, leaves nothing behind, and has a row
# for each figure.
# shellcheck source=tests/bench_kit.sh
. "${SRC:-.}/tests/bench_kit.sh"

quick_rows duramen-bench-history << 'EOF'
durable commit, all kept, p50
the same : where nothing is packed
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
within "a diff reads what differs" 1 '"diff with 10 changes, read"'
within "the file stays small" 2 '"last:100, file'
is "one section alone" 4 \
	"$("$bench" --only space --space-commits 200 --entries 500 --dir "$PWD/work" 2> stderr.txt | grep -c '')"
bench_end
