#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The programs of examples/ do what they say, one after the other in one workspace, and the examples in
# the comments of the public header and in README.md compile.
set -u
SRC=${SRC:-$PWD} BUILD=${BUILD:-$SRC/build/cc} CC=${CC:-cc}
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

expect() { # WHAT EXPECTED ACTUAL
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf '%s: expected\n%s\nbut got\n%s\n' "$1" "$2" "$3"
	fi
}

examples=$BUILD/examples

out=$("$examples/hello" 2>&1)
expect "hello" "dark" "${out##*: }"
expect "hello: a state number" "state" "${out%% *}"

out=$("$examples/map" 2>&1)
expect "map: the copy does not see what came later" "before:
alice is 25 and lives in Oslo
bob is 42 and lives in Bergen
now:
alice is 25 and lives in Tromso
bob is 43 and lives in Bergen" "$out"
expect "set" "any: cod herring soup stew
both: cod stew
cold fish: herring
just one: herring soup
kept: 2" "$("$examples/set" 2>&1)"

expect "document: whole, by path, by handles" "food:
  0: apple
shop:
  fruits:
    0: apple
    1: pear
users:
  0: -
  1:
    age: 26
    name: Alice
  2:
    age: 42
    city: Bergen
    name: Bob" "$("$examples/document" 2>&1)"
expect "orders: four parts of a list" "500500 in all" "$("$examples/orders" 1000 2>&1)"
expect "orders: again, from where the list was" "500503 in all" "$("$examples/orders" 2 2>&1)"

# A reader that is there before the counts are.
"$examples/count_lines" < /dev/null
expect "count_lines, nothing to count" 0 $?
timeout 60 "$examples/follow" /index.html 2 > follow.out 2>&1 &
follow=$!
until [ -s follow.out ] || ! kill -0 $follow 2>/dev/null; do sleep 0.1; done
printf '/index.html\n/about\n/index.html\n' | "$examples/count_lines"
expect "count_lines" 0 $?
wait $follow
expect "follow: ends after its states" 0 $?
expect "follow: woken by the commit" "2 hits" "$(sed -n '2s/.*: //p' follow.out)"

"$examples/edit" insert 0 "hello world" > /dev/null
expect "edit: insert" "hello, world" "$("$examples/edit" insert 5 ,)"
expect "edit: copy" "hello, worldhello" "$("$examples/edit" copy 0 5)"
expect "edit: cut" "worldhello" "$("$examples/edit" cut 0 7)"
expect "edit: beyond the end" "position 11 is beyond the end, which is at 10" \
	"$("$examples/edit" insert 11 x 2>&1)"
expect "edit: nothing happened" "worldhello" "$("$examples/edit")"

"$examples/tasks" add sleep > /dev/null
"$examples/tasks" first eat > /dev/null
"$examples/tasks" add rave > /dev/null
expect "tasks: again" "0 eat
1 sleep
2 rave
3 sleep" "$("$examples/tasks" again 1)"
expect "tasks: done, from the end" "0 eat
1 sleep
2 rave" "$("$examples/tasks" done -1)"
expect "tasks: done" "0 sleep
1 rave" "$("$examples/tasks" done 0)"
expect "tasks: not there" "there is no task 7
0 sleep
1 rave" "$("$examples/tasks" done 7)"

yes /index.html | head -n 250 | "$examples/count_lines"
expect "follow: reads at once what is there" "252 hits" \
	"$("$examples/follow" /index.html 1 2>&1 | sed 's/.*: //')"
expect "time_travel: three commits back" "$(printf '/about\t1\t1\n/index.html\t2\t252')" \
	"$("$examples/time_travel" site/hits -3 2>&1)"
expect "time_travel: no such state" "no such state" "$("$examples/time_travel" site/hits 999999 2>&1)"
"$examples/time_travel" 2>/dev/null
expect "time_travel: usage" 2 $?
expect "changed: since the empty prefix" "$(printf '+ /~1about\n+ /~1index.html')" \
	"$("$examples/changed" site/hits 1 2>&1)"
expect "changed: three commits back" "~ /~1index.html" "$("$examples/changed" site/hits -3 2>&1)"
expect "changed: nothing" "" "$("$examples/changed" site/hits latest 2>&1)"
expect "changed: no such state" "no such state" "$("$examples/changed" site/hits 999999 2>&1)"
"$examples/changed" 2>/dev/null
expect "changed: usage" 2 $?
expect "key_log: newest first" "$(printf '202 -> 252\n102 -> 202\n2 -> 102\nnothing -> 2')" \
	"$("$examples/key_log" site/hits /index.html 2>&1 | sed 's/state [0-9]*: //')"
expect "key_log: never there" "" "$("$examples/key_log" site/hits /nowhere 2>&1)"
"$examples/key_log" 2>/dev/null
expect "key_log: usage" 2 $?

# Each group of lines of a comment that begin with a tab is the body of a function.
compile() { # WHAT FILE
	if $CC -std=c11 -Wall -Wno-unused -Werror -I"$SRC/include" -fsyntax-only -x c "$2" 2> "$2.log"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$1 does not compile:"
		cat "$2.log"
	fi
}
{
	cat <<-'END'
		#include <duramen.h>
		#include <errno.h>
		#include <stdio.h>
	END
	awk '
		/^ \*\t/ {
			if (!inside)
				printf "void example_%d(dur_workspace *ws, dur_prefix *p, dur_view *snap, dur_view *txn)\n" \
				       "{\n\tdur_value key, value;\n\tdur_coll coll;\n\tdur_iter *it;\n\tdur_change c;\n" \
				       "\tdur_view *later;\n\tint fd = 1, fd_there = 0;\n" \
				       "\tuint64_t state = 0, n;\n\tint rc = 0;\n", ++count
			inside = 1
			print substr($0, 3)
			next
		}
		inside { print "}"; inside = 0 }
		END { print "int examples = " count ";" }' "$SRC/include/duramen.h"
} > header.c
compile "include/duramen.h: an example" header.c
# An entry of its own may have one too.
expect "include/duramen.h: an example a group" "$(grep -c '^/\* ======== ' "$SRC/include/duramen.h")" \
	"$(awk '/^\/\* ======== / { want = 1 } /^ \*\t/ { n += want; want = 0 } /\*\/$/ { want = 0 }
		END { print n }' "$SRC/include/duramen.h")"
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$SRC/README.md" > readme.c
expect "README.md: a program" 1 "$(grep -c 'int main' readme.c)"
compile "README.md: the program" readme.c

# The tour of README.md, as its reader types it: in the second terminal watch sees one state.
sed -n '/^export PATH/,/^duramen check/p' "$SRC/README.md" | grep -v '^```' | grep '^duramen' > tour
sed -i 's/^duramen watch/timeout 60 duramen watch --count 1 --after 3/' tour
sed -i 's/^duramen put .*font-size.*/&\nwait/; s/^timeout.*/{ & \n} >\/dev\/null \&/' tour
sed -i 's/^duramen diff.*/{ & \n} || [ $? = 1 ]/' tour # it differs
tour=$(PATH=$BUILD:$PATH DURAMEN_ROOT=$scratch/tour-data bash -e tour 2>&1)
expect "README.md: the tour" 0 $?
expect "README.md: the tour's answers" "$(printf '"dark"\n"light"')" "$(sed -n '/^"/p' <<< "$tour")"
expect "README.md: the tour ends with a check" "my-org/settings is sound" "$(tail -n 1 <<< "$tour")"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
