#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The shared library exports what the header declares and nothing else, the static one defines nothing
# global besides, and a C++ compiler takes the header.
SRC=${SRC:-.} BUILD=${BUILD:-$SRC/build/cc}
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

same() { # WHAT FILE1 FILE2
	if diff "$2" "$3" > "$scratch/diff"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$1:"
		cat "$scratch/diff"
	fi
}

${CC:-cc} -E -P "$SRC/include/duramen.h" | tr '\n' ' ' | tr ';{}' '\n\n\n' |
	grep -oE '\bdur_[a-z_]+ *\(' | tr -d ' (' | sort -u > "$scratch/declared"
nm -D --defined-only "$BUILD/libduramen.so" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' |
	sort > "$scratch/shared"
same "declared in duramen.h (<), exported by libduramen.so (>)" "$scratch/declared" "$scratch/shared"
nm -g --defined-only "$BUILD/libduramen.a" | awk 'NF == 3 { print $3 }' | grep -v '^__' |
	sort > "$scratch/static"
same "declared in duramen.h (<), global in libduramen.a (>)" "$scratch/declared" "$scratch/static"

compiles() { # COMPILER...
	if "$@" -Wall -Wextra -Werror -I"$SRC/include" -fsyntax-only "$scratch/header.c"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
}
echo '#include <duramen.h>' > "$scratch/header.c"
compiles ${CC:-cc} -std=c11 -Wpedantic -x c
command -v g++ > /dev/null && compiles g++ -std=c++17 -x c++
command -v clang++ > /dev/null && compiles clang++ -std=c++17 -x c++

echo "$passed passed, $failed failed"
[ $failed = 0 ]
