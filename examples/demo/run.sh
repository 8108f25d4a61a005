#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo: one process loads this machine's package index in commits of 500 while four others follow,
# each checking every snapshot that it opens. Then a look-up, a range, an old state, stat and check.
# Prints each command as it could be typed, what it said, and a table at the end.
#
# DURAMEN is the command, DEMO_BIN the folder of loader and follower; `make demo` sets both. KEEP=1 leaves
# the data in place. Ends with 1 if any snapshot was inconsistent or anything failed.
set -euo pipefail

[ -x "${DURAMEN:?the duramen command: run this as \`make demo\`}" ]
[ -x "${DEMO_BIN:?the folder of loader and follower: run this as \`make demo\`}/loader" ]
followers=4
dir=$(mktemp -d "${TMPDIR:-/tmp}/duramen-demo.XXXXXX")
pids=()

finish() {
	local pid
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	if [ -n "${KEEP-}" ]; then
		echo "The data is in $dir; try: $DURAMEN --root $dir/duramen-data log packages"
	else
		rm -rf "$dir"
	fi
}
trap finish EXIT
trap 'exit 130' INT TERM

cd "$dir"
unset DURAMEN_ROOT
PATH=$(dirname "$DURAMEN"):$DEMO_BIN:$PATH

show() { # COMMAND LINE, as typed
	echo "\$ $1"
	eval "$1"
}

title() {
	printf '\n# %s\n' "$1"
}

# ---- The input ----

title "The package index of this machine"
{ apt-cache dumpavail 2>/dev/null || true; } > index.txt
if grep -qm1 '^Package: ' index.txt; then
	echo '$ apt-cache dumpavail > index.txt'
else
	show 'cp /var/lib/dpkg/status index.txt'
fi
show 'wc -c index.txt'

# ---- One writer, four readers ----

title "Four readers wait for what comes, one writer loads: 500 packages a commit"
show 'duramen create packages'
for ((i = 1; i <= followers; i++)); do
	echo "\$ follower duramen-data packages reader$i.txt &"
	follower duramen-data packages "reader$i.txt" &
	pids+=($!)
done
for ((i = 1; i <= followers; i++)); do
	until [ -e "reader$i.txt" ]; do
		kill -0 "${pids[i - 1]}" # a reader that could not start says why
		sleep 0.02
	done
done
show 'loader duramen-data packages commits.txt < index.txt | tee loader.txt'
echo '$ wait'
wrong=0
for pid in "${pids[@]}"; do
	wait "$pid" || wrong=1
done
pids=()

# ---- What there is now, and what there was ----

title "Look up, scan a range, go back in time"
show 'duramen get packages /bash'
show 'duramen scan packages --from linux-image --to linux-imagf --limit 3'
show 'duramen scan packages --count'
show 'duramen log packages --limit 4'
middle=$(duramen log packages | awk '{ state[NR] = $1 } END { print state[int((NR + 1) / 2)] }')
echo "# state $middle is in the middle; the entry under the key null has its totals"
show "duramen scan packages --count --at $middle"
show "duramen get packages /~n --at $middle"
show 'duramen get packages /~n'

title "Look inside"
show 'duramen stat packages'
show 'duramen check packages --history'

# ---- The table ----

# Percentiles of numbers in ns on standard input, as us.
percentile() { # PART
	sort -n | awk -v part="$1" '{ v[NR] = $1 } END {
		if (NR) printf "%.0f us", v[int((NR - 1) * part) + 1] / 1000; else printf "-" }'
}

# A wake counts if the reader slept before the commit began; a busy one has nothing to be woken from.
# $1: from when, as a column of commits.txt.
wakes() {
	awk -v from="$1" -v file="$2" '
		FILENAME == "commits.txt" { begun[$1] = $2; since[$1] = $from; next }
		/^wake/ && $2 in begun && $3 < begun[$2] { printf "%.0f\n", $4 - since[$2] }
	' commits.txt "$2"
}

read -r packages _ commits _ seconds _ < <(tr -d , < loader.txt)
title "Results"
awk -v p="$packages" -v c="$commits" -v s="$seconds" 'BEGIN {
	printf "%-32s %d in %.2f s\n", "packages loaded", p, s
	printf "%-32s %.0f\n%-32s %.0f\n", "entries/s", p / s, "commits/s, each on disk", c / s }'
printf '%-32s p50 %s, p99 %s\n' "dur_commit() takes" \
	"$(awk '{ print $3 - $2 }' commits.txt | percentile 0.5)" \
	"$(awk '{ print $3 - $2 }' commits.txt | percentile 0.99)"
printf '\n%-8s  %12s  %16s  %12s  %26s  %26s\n' "" "states seen" "packages counted" inconsistent \
	"woken after commit returned" "woken after commit began"
for ((i = 1; i <= followers; i++)); do
	file=reader$i.txt
	read -r _ states entries inconsistent < <(grep '^seen' "$file" || echo "seen 0 0 ?")
	printf 'reader %d  %12s  %16s  %12s  %26s  %26s\n' "$i" "$states of $commits" "$entries" \
		"$inconsistent" \
		"p50 $(wakes 3 "$file" | percentile 0.5), p99 $(wakes 3 "$file" | percentile 0.99)" \
		"p50 $(wakes 2 "$file" | percentile 0.5), p99 $(wakes 2 "$file" | percentile 0.99)"
done
total=$(awk '/^seen/ { n += $4 } END { print n + 0 }' reader*.txt)
printf '\ninconsistent snapshots: %s\n' "$total"
[ "$total" = 0 ] && [ $wrong = 0 ]
