#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No #include goes against the layers, and the script that says so finds those that do.
passed=0 failed=0
for arguments in "" --self-test; do
	if "${SRC:-.}/tests/check_layers" $arguments; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
