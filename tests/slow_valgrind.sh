#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Test programs under valgrind, with few rounds, each in one process so that code is translated once, on
# the io that valgrind follows: no invalid or undefined memory is used, none is left behind. Skipped where
# there is no valgrind, and under sanitizers, which do the same.
set -uo pipefail

if [ -n "${SANITIZE:-}" ]; then
	echo "skipped: a sanitizer is at work already"
	exit 0
fi
if ! command -v valgrind > /dev/null; then
	echo "skipped: there is no valgrind (Debian package valgrind)"
	exit 0
fi

export DURAMEN_BRIEF=1 CK_FORK=no
unset DURAMEN_SLOW
passed=0 failed=0

# A program and a case of its suite.
under_valgrind() { # PROGRAM CASE
	local out=$TMPDIR/$1.$2.out
	if CK_RUN_CASE=$2 valgrind -q --error-exitcode=9 --leak-check=full \
		"$BUILD/tests/$1" > "$out" 2>&1 && grep -q '^100%: Checks: [1-9]' "$out"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$1, case $2:"
		cat "$out"
	fi
	rm -f "$out"
}

under_valgrind test_map model
under_valgrind test_tree random
under_valgrind test_tree damage
under_valgrind test_history runs
under_valgrind test_history machine
under_valgrind test_api_arguments arguments
under_valgrind test_api_data data
under_valgrind test_api_views views
under_valgrind test_api_waiting waiting

echo "$passed passed, $failed failed"
[ $failed = 0 ]
