#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tuples against an independent implementation, the npm package fdb-tuple: bytes of random tuples both ways,
# and their order. npm puts the package below the build folder once. Skipped where there is no node, or where
# neither the package nor npm's registry can be had.
SRC=${SRC:-.} BUILD=${BUILD:-$SRC/build/cc}
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
package=fdb-tuple version=1.0.0
home=$BUILD/npm

skip() { # WHY
	echo "skipped: $1"
	exit 0
}

check() { # WHAT COMMAND...
	what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "failed: $what"
	fi
}

command -v node > /dev/null || skip "there is no node (Debian package nodejs)"
node -e 'BigInt(1)' 2> /dev/null || skip "this node has no BigInt"
if [ ! -e "$home/node_modules/$package/package.json" ]; then
	command -v npm > /dev/null || skip "there is neither $home/node_modules/$package nor npm"
	mkdir -p "$home"
	timeout 60 npm install --prefix "$home" --no-save --ignore-scripts --no-audit --no-fund \
		"$package@$version" > "$scratch/npm" 2>&1 ||
		skip "npm could not get $package: $(grep -m 1 -i error "$scratch/npm")"
fi

[ "${DURAMEN_SLOW:-}" = 1 ] && n=200000 || n=10000
SEED=${SEED:-$(date +%s)}
export SEED
echo "SEED=$SEED"
check "tuples are made" "$BUILD/tests/prog_tuples" make "$n" > "$scratch/made"
compare_there() {
	node "$SRC/tests/tuple_node.js" "$(cd "$home" && pwd)/node_modules/$package" < "$scratch/made" \
		> "$scratch/packed" 2> "$scratch/errors" && grep -qx "$n tuples" "$scratch/errors" && return
	cat "$scratch/errors"
	return 1
}
check "fdb-tuple makes the same bytes, items and order" compare_there
read_back() {
	"$BUILD/tests/prog_tuples" read < "$scratch/packed" > "$scratch/read" &&
		cmp "$scratch/made" "$scratch/read"
}
check "what fdb-tuple packs is read as the same items" read_back

# Neighbours in order are not yet all pairs in order: each of 1,000, or of 10,000, with each.
[ "${DURAMEN_SLOW:-}" = 1 ] && pairs=10000 || pairs=1000
all_pairs() {
	[ "$("$BUILD/tests/prog_tuples" order $((n / pairs)) < "$scratch/packed")" = $pairs ]
}
check "bytes of fdb-tuple are in the order of dur_compare(), all pairs of $pairs" all_pairs

echo "$passed passed, $failed failed"
[ $failed = 0 ]
