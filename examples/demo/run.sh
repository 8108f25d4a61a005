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

title "Four readers wait for what comes, one writer loads: 500 packages a commit, then single ones"
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
show 'duramen scan packages --from libc --to libd --limit 3'
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

# Percentiles of the numbers, in ns, on standard input, in us.
percentiles() {
	sort -n | awk '{ v[NR] = $1 / 1000 } END {
		if (NR) printf "p50 %.0f us, p99 %.0f us", v[int(NR / 2 + 0.5)], v[int(NR * 0.99 + 0.5)]
		else printf "-" }'
}

# wakes KIND FILE...: from the call of dur_commit() to the return of dur_wait() in a reader, in ns. Counted
# where the reader had gone to sleep before that call: a busy one is not woken.
wakes() {
	awk -v kind="$1" '
		FILENAME == "commits.txt" { if ($1 == kind) begun[$2] = $3; next }
		/^wake/ && $2 in begun && $3 < begun[$2] { printf "%.0f\n", $4 - begun[$2] }
	' commits.txt "${@:2}"
}
commits() { # KIND: how long dur_commit() took, in ns
	awk -v kind="$1" '$1 == kind { printf "%.0f\n", $4 - $3 }' commits.txt
}

read -r packages _ commits _ seconds _ < loader.txt
title "Results"
awk -v p="$packages" -v c="$commits" -v s="$seconds" 'BEGIN {
	printf "%-36s%.0f\n%-36s%.0f, each on disk\n", "entries/s while loading", p / s,
		"commits/s while loading", c / s }'
printf '%-36s%s\n' "a commit of 500, on disk" "$(commits load | percentiles)" \
	"until a reader is awake" "$(wakes load reader*.txt | percentiles)" \
	"a commit of 1, async" "$(commits update | percentiles)" \
	"until a reader is awake" "$(wakes update reader*.txt | percentiles)"
printf '\n%-10s%12s%20s%16s   %s\n' "" "states seen" "packages counted" inconsistent \
	"awake after an async commit is called"
for ((i = 1; i <= followers; i++)); do
	read -r _ states entries inconsistent < <(grep '^seen' "reader$i.txt" || echo "seen 0 0 ?")
	printf 'reader %-3d%12s%20s%16s   %s\n' "$i" "$states of $(($(wc -l < commits.txt) + 1))" "$entries" \
		"$inconsistent" "$(wakes update "reader$i.txt" | percentiles)"
done
total=$(awk '/^seen/ { n += $4 } END { print n + 0 }' reader*.txt)
printf '\ninconsistent snapshots: %s\n' "$total"
[ "$total" = 0 ] && [ $wrong = 0 ]
