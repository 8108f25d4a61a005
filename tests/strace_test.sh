#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The system calls of a commit: a one-key durable commit is two writes, then one fdatasync, and
# nothing else touches the disk while it has the lock. Through io_uring they are one submission.
set -u
SRC=${SRC:-$PWD} BUILD=${BUILD:-$SRC/build/gcc} DURAMEN=${DURAMEN:-$BUILD/duramen}
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
unset DURAMEN_IO
export DURAMEN_ROOT=$scratch/root
# The leak checker of the address sanitizer does not work under ptrace.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

skip() { # WHY
	echo "skipped: $1"
	echo "$passed passed, $failed failed"
	exit 0
}
is() { # WHAT EXPECTED ACTUAL
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf '%s: expected "%s" but got "%s"\n' "$1" "$2" "$3"
		cat log
	fi
}

command -v strace > /dev/null || skip "strace is not installed"
strace -o /dev/null true 2> /dev/null || skip "this machine does not let us trace a process"
"$DURAMEN" create traced || exit 1

calls=io_uring_enter,write,writev,pwrite64,pwritev,pwritev2,fdatasync,fsync,sync_file_range,msync
calls=$calls,ftruncate,fallocate,flock
# What is asked of the disk between taking the writer lock and letting it go for the first time: a
# word a call, "submit:N" for N requests to the ring.
commit() { # KEY
	strace -f -qq -e "trace=$calls" -o log "$DURAMEN" put traced "/$1" 1 || return
	awk '
		/LOCK_EX.*= 0$/ { inside = 1; next }
		/LOCK_UN/ { exit }
		!inside || / resumed>/ { next }
		{
			sub(/^[0-9]+ +/, "")
			name = $0
			sub(/\(.*/, "", name)
			if (name == "io_uring_enter") {
				split($0, field, ", ")
				if (field[2] == 0)
					next # waits for what was submitted before
				name = "submit:" field[2]
			}
			line = line (line ? " " : "") (name ~ /^pwrite/ ? "write" : name)
		}
		END { print line }' log
}

commit warm > /dev/null # pages for what follows are there
is "through pwritev" "write write fdatasync" "$(commit one)"
is "the same again" "write write fdatasync" "$(commit one)"
export DURAMEN_IO=io_uring
case $("$DURAMEN" stat traced 2>&1) in
*io_uring*) ;;
*) skip "io_uring is not to be had here" ;;
esac
is "through io_uring" "submit:3" "$(commit two)"
is "the same again" "submit:3" "$(commit two)"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
