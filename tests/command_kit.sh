# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What tests of the duramen command share: a scratch folder to stand in, and words for running it. Each
# test that sources this counts in passed and failed and prints both as its last line.
set -u
SRC=${SRC:-$PWD} BUILD=${BUILD:-$SRC/build/cc} DURAMEN=${DURAMEN:-$BUILD/duramen}
passed=0 failed=0
scratch=$(mktemp -d)
children=()
finish() {
	local pid
	for pid in "${children[@]}"; do
		kill "$pid" 2>/dev/null
	done
	rm -rf "$scratch"
}
trap finish EXIT
cd "$scratch" || exit 1
unset DURAMEN_ROOT
TAB=$(printf '\t')

bad() { # WHAT EXPECTED ACTUAL
	failed=$((failed + 1))
	printf '%s: expected\n%s\nbut got\n%s\n' "$1" "$2" "$3"
}
is() { # WHAT EXPECTED ACTUAL
	if [ "$2" = "$3" ]; then passed=$((passed + 1)); else bad "$@"; fi
}
has() { # WHAT PATTERN ACTUAL
	# shellcheck disable=SC2254
	case $3 in
	$2) passed=$((passed + 1)) ;;
	*) bad "$@" ;;
	esac
}
# run ARGUMENT...: sets status, out, err
run() {
	out=$("$DURAMEN" "$@" 2> stderr.txt < "${stdin:-/dev/null}")
	status=$?
	err=$(cat stderr.txt)
	case $err in
	*dur_[a-z]* | *DUR_[A-Z]*) bad "$*: a message for who uses a shell" "no name of the C library" "$err" ;;
	esac
}
# ok WHAT EXPECTED ARGUMENT...: status 0, this output, no message
ok() {
	local what=$1 expected=$2
	shift 2
	run "$@"
	is "$what" "0|$expected|" "$status|$out|$err"
}
# no WHAT STATUS PATTERN ARGUMENT...: this status, nothing on stdout, a message that begins as it should
no() {
	local what=$1 expected=$2 pattern=$3
	shift 3
	run "$@"
	is "$what: status" "$expected" "$status"
	is "$what: stdout" "" "$out"
	# shellcheck disable=SC2254
	case $err in
	"duramen: "$pattern) passed=$((passed + 1)) ;;
	*) bad "$what: message" "duramen: $pattern" "$err" ;;
	esac
}
newest() { # PREFIX
	"$DURAMEN" stat "$1" --json | sed 's/.*"newest":\([0-9]*\).*/\1/'
}
# until_true COMMAND...: waits for it. Minutes mean that it will never be true: nothing after it can be told.
until_true() {
	local tries=10000
	until "$@" 2> /dev/null; do
		sleep 0.02
		tries=$((tries - 1))
		if [ $tries = 0 ]; then
			bad "waiting" "$*" "nothing"
			echo "$passed passed, $failed failed"
			exit 1
		fi
	done
}
lines() { # FILE N: it has at least N lines
	[ "$(wc -l < "$1")" -ge "$2" ]
}
hold() { # write|read PREFIX: sets held; close it with release
	mkfifo "hold.$1"
	"$BUILD/tests/prog_hold" "$1" duramen-data "$2" < "hold.$1" > "hold.$1.out" &
	held=$!
	children+=("$held")
	exec 9> "hold.$1"
	until_true lines "hold.$1.out" 1
}
release() { # write|read
	exec 9>&-
	wait "$held"
	is "the process that held something ends" 0 $?
	rm "hold.$1"
}
