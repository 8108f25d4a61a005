# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What tests of the benchmarks with limits share. Sets rows: those of a program with few of all, as JSON. What
# the figures are says nothing there.
# shellcheck source=tests/command_kit.sh
. "${SRC:-.}/tests/command_kit.sh"

mkdir work
quick_rows() { # PROGRAM: the names of its rows are on stdin
	bench=$BUILD/$1
	rows=$("$bench" --quick --json --dir "$PWD/work" 2> stderr.txt)
	is "status" 0 $?
	is "nothing is left" "" "$(ls work)"
	while read -r name; do
		is "a row: $name" 1 "$(grep -cF "\"name\":\"$name\",\"value\":" <<< "$rows")"
	done
	"$bench" --entries none 2> stderr.txt
	is "a number that is none" 2 $?
	"$bench" --only none --dir "$PWD/work" 2> stderr.txt
	is "a section that is none" "2|there is no section none" "$?|$(cat stderr.txt)"
	has "help" "*--strict*" "$("$bench" --help)"
}
within() { # WHAT EXPECTED PATTERN: so many rows like this are within their limits
	is "$1" "$2" "$(grep -c "$3.*\"within\":true" <<< "$rows")"
}
bench_end() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
}
