#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh quick|slow|soak [NAME...]: runs the test programs, JOBS (2) at a time, each with a time limit and
# a scratch folder of its own. Prints the output of those that fail, of others in slow runs the lines
# that say how much they "did: ", and as its last line "N passed, N failed", which counts test cases.
#
# Test programs find in their environment: SRC (the tree), BUILD (the folder of this configuration, with
# tests/prog_* and duramen), DURAMEN (the command), TMPDIR (empty, removed afterwards), in a slow run
# DURAMEN_SLOW=1, and SEED and WRITES (how many writes a model test makes) where they were given.
set -uo pipefail

mode=$1
shift
export SRC BUILD DURAMEN=$BUILD/duramen LC_ALL=C.UTF-8
jobs=${JOBS:-2}
[ "$mode" = quick ] && limit_s=180 || limit_s=3600
[ -n "$SANITIZE" ] && limit_s=$((limit_s * 4))
limit_s=${LIMIT_S:-$limit_s}

# libcheck's own limit of 4 s a case would be a timed assertion.
export CK_DEFAULT_TIMEOUT=$limit_s
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/duramen-test.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# Programs that are there without a source are left from a former tree.
names=()
for source in "$SRC"/tests/test_*.c "$SRC"/tests/*_test.sh; do
	names+=("$(basename "${source%.*}")")
done
if [ "$mode" != quick ]; then
	for source in "$SRC"/tests/slow_*.c "$SRC"/tests/slow_*.sh; do
		[ -e "$source" ] && names+=("$(basename "${source%.*}")")
	done
fi
if [ $# -gt 0 ]; then
	for name in "$@"; do
		[[ " ${names[*]} " == *" $name "* ]] || { echo "no such test: $name" >&2; exit 2; }
	done
	names=("$@")
fi

# The thread sanitizer of gcc 12 needs its shadow where a randomised address space may have put a library.
unrandomised=()
[[ $SANITIZE == *thread* ]] && setarch -R true 2>/dev/null && unrandomised=(setarch -R)

# Prints the counts of one finished program: what libcheck or a shell test says of itself, and one failure
# more if it ended badly without having reported any.
count_cases() { # STATUS OUTPUT
	awk -v status="$1" '
		/^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+$/ {
			gsub(/,/, ""); failed += $5 + $7; passed += $3 - $5 - $7
		}
		/^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3 }
		END {
			if (status != 0 && !failed)
				failed = 1
			if (status == 0 && !failed && !passed)
				passed = 1
			print passed + 0, failed + 0
		}' "$2"
}

run_one() { # NAME
	local name=$1 status begin=$SECONDS passed failed
	local program=("$BUILD/tests/$name")
	[ -e "$SRC/tests/$name.sh" ] && program=("$SRC/tests/$name.sh")
	mkdir -p "$scratch/$name.tmp"
	TMPDIR=$scratch/$name.tmp timeout -k 10 "$limit_s" "${unrandomised[@]}" "${program[@]}" \
		> "$scratch/$name.out" 2>&1 < /dev/null
	status=$?
	read -r passed failed < <(count_cases $status "$scratch/$name.out")
	{
		if [ "$failed" = 0 ]; then
			printf '  ok    %-28s %4d cases %4d s\n' "$name" "$passed" $((SECONDS - begin))
			[ "$mode" = quick ] || sed -n 's/^did: /        /p' "$scratch/$name.out"
		else
			[ $status = 124 ] && echo "stopped after $limit_s s" >> "$scratch/$name.out"
			printf '  FAIL  %-28s %4d of %d failed, exit status %d\n' "$name" "$failed" \
				$((passed + failed)) $status
			sed 's/^/        /' "$scratch/$name.out"
		fi
	} > "$scratch/$name.report"
	cat "$scratch/$name.report" # one write, so that two programs' lines do not mix
	echo "$passed $failed" > "$scratch/$name.count"
	chmod -R u+w "$scratch/$name.tmp" 2>/dev/null
	rm -rf "$scratch/$name.tmp"
}

run_all() {
	local name running=0
	for name in "${names[@]}"; do
		if [ $running -ge "$jobs" ]; then
			wait -n
			running=$((running - 1))
		fi
		run_one "$name" &
		running=$((running + 1))
	done
	wait
}

total() {
	cat "$scratch"/*.count | awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }'
}

passed=0 failed=0
for ((round = 0; round < (${ROUNDS:-1}); round++)); do
	[ "$mode" = soak ] && export SEED=$((SEED + (round > 0))) && echo "seed $SEED"
	run_all
	read -r p f < <(total)
	passed=$((passed + p)) failed=$((failed + f))
	[ $failed = 0 ] || break
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
