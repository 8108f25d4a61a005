#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The duramen command, used as from a shell: each subcommand, its exit statuses, wrong input, two processes
# at once, and the manual page.
. "${SRC:-$PWD}/tests/command_kit.sh"
commands="create ls drop put get del scan load dump tree log diff restore keep name unname names wait watch stat readers check backup receive compact pack"

# ---- Usage ----

ok "--version" "duramen 0.1.0" --version
run --help
is "--help: status" 0 "$status"
for c in $commands; do
	has "--help names $c" "*  $c  *" "$out"
done
for c in $commands; do
	run "$c" --help
	is "$c --help: status" 0 "$status"
	has "$c --help" "Usage: duramen $c*Options:*--root DIR*Examples:*  duramen $c*" "$out"
done
run
is "no command: status" 2 "$status"
has "no command: usage" "Usage:*" "$err"
no "unknown command" 2 "there is no command 'frob'*" frob
no "unknown option" 2 "put: there is no option --frob*duramen put --help*" put p /a 1 --frob
no "unknown short option" 2 "ls: there is no option -l*" ls -l
no "short option of another command" 2 "ls: there is no option -p*" ls -p
no "unknown option before the command" 2 "there is no option --frob*" --frob ls
no "operand missing" 2 "put: PATH is missing*" put p
no "one operand too many" 2 "ls: 'x' is one operand too many*" ls x
no "no number" 2 "--limit takes a number*" log p --limit x
no "number too small" 2 "--limit takes a number*" log p --limit 0
no "number with a sign" 2 "--timeout takes a number*" wait p --after 1 --timeout -5
no "an option that may be two" 2 "put: there is no option --l*" put p /a 1 --l
no "help with an argument" 2 "--help takes no argument*" put --help=1
no "argument missing" 2 "--at needs an argument*" get p /a --at
no "a flag with an argument" 2 "--json takes no argument*" ls --json=1
no "no such format" 2 "--format takes*" dump p --format xml

# ---- Workspace and prefixes ----

for line in "ls" "get p /a" "put p /a 1" "scan p" "load p -" "drop p" "check p"; do
	# shellcheck disable=SC2086
	no "no workspace: $line" 3 "there is no workspace at duramen-data:*create*" $line
done
is "a command that finds no workspace makes none" "" "$(ls | grep -v stderr)"

ok "create" "" create my-org/app/settings
ok "create, another" "" create demo
no "create, there already" 3 "*" create demo
no "create, no policy" 2 "*" create nonsense --keep sometimes
for name in ../x "" "$(printf 'x%.0s' {1..300})" "a/../b" "/x" "a//b" "$(printf 'a\001b')"; do
	no "bad name '${name:0:20}'" 2 "*" create "$name"
	no "bad name '${name:0:20}', get" 2 "*" get "$name" /a
done
run ls
is "ls" "demo my-org/app/settings" "$(echo "$out" | awk '{ print $NF }' | xargs)"
run ls --json
has "ls --json" '{"name":"demo","uuid":"????????-*","newest":*,"file_bytes":*,"memory":false}*' "$out"
for line in "get nosuch /a" "put nosuch /a 1" "del nosuch /a" "scan nosuch" "load nosuch -" \
	"dump nosuch" "log nosuch" "wait nosuch --after 1" "watch nosuch" "stat nosuch" "readers nosuch" \
	"check nosuch" "drop nosuch" "diff nosuch -1" "restore nosuch -1" "watch nosuch /a"; do
	# shellcheck disable=SC2086
	no "no prefix: $line" 3 "there is no prefix nosuch*duramen create nosuch*" $line
done
is "a missing prefix stays missing" "demo my-org/app/settings" \
	"$("$DURAMEN" ls | awk '{ print $NF }' | xargs)"
ok "--root before the command" "" --root elsewhere create x
ok "--root after it" "" put x /a 1 --root=elsewhere
out=$(DURAMEN_ROOT=elsewhere "$DURAMEN" get x /a)
is "DURAMEN_ROOT" 1 "$out"
ok "drop" "" drop my-org/app/settings
run ls
is "ls after drop" demo "$(echo "$out" | awk '{ print $NF }' | xargs)"

# ---- Values ----

first=$(newest demo)
ok "put" "" put demo /alice 25
ok "get" 25 get demo /alice
is "put makes one state" $((first + 1)) "$(newest demo)"
no "put without VALUE" 2 "put: VALUE is missing*" put demo /alice
no "del of the whole prefix" 2 "del: *duramen put demo \"\" '{}'*duramen drop demo*" del demo ""
ok "put, a negative number" "" put demo /alice -57 --label x
ok "get, a negative number of two digits" -57 get demo /alice
ok "put, after --" "" put demo -- /alice -1e1
ok "get, what was put after --" -10.0 get demo /alice
ok "put, a negative number before an option" "" put --label x demo /alice -5 --async
ok "get, a negative number" -5 get demo /alice
run get demo /bob
is "absent: status, nothing said" "1||" "$status|$out|$err"
run del demo /bob
is "del of an absent key: status, nothing said" "1||" "$status|$out|$err"

while IFS= read -r value; do
	ok "put $value" "" put demo /v "$value"
	ok "get $value" "$value" get demo /v
done <<'END'
null
true
false
0
-1
9223372036854775807
-9223372036854775808
{"~i":"9223372036854775808"}
{"~i":"-9223372036854775809"}
{"~i":"123456789012345678901234567890123456789012345678901234567890"}
0.1
0.30000000000000004
1.0
-0.0
1e22
5e-324
2.2250738585072014e-308
1.7976931348623157e308
9007199254740993
9007199254740992.0
{"~d":"inf"}
{"~d":"-inf"}
{"~d":"nan"}
{"~d":"nan7ff8000000000001"}
{"~d":"nanfff0000000000001"}
""
"text"
"é ☃ 😀"
"tab\tquote\"backslash\\nul\u0000end"
{"~x":""}
{"~x":"00ff10"}
{"~m":"-12.50"}
{"~m":"0.00"}
{"~t":"2026-11-20T10:00:00Z"}
{"~t":"2026-11-20T10:00:00.5+02:00"}
{"~t":"2026-11-20T10:00:00.123456789-11:30"}
{"~t":"2026-11-20T10:00:00"}
{"~t":"1969-12-31T23:59:59.999999999Z"}
{"~t":"0000-01-01T00:00:00Z"}
{"~t":"9999-12-31T23:59:59Z"}
{"~u":"2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab"}
{"~r":"2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab"}
{"~w":"2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab"}
{"~p":[]}
{"~p":[1,"a",{"~p":[null,{"~x":"00"}]},0.5]}
{"~p":[0.30000000000000004,1.0]}
{"~g":[7,"a"]}
{"~g":[65535,{"~x":"00"}]}
END
while IFS="$TAB" read -r given stored; do
	ok "put $given" "" put demo /v "$given"
	ok "get it as $stored" "$stored" get demo /v
done <<'END'
1E2	100.0
1e+22	1e22
{"~i":"12"}	12
9223372036854775808	{"~i":"9223372036854775808"}
-9223372036854775809	{"~i":"-9223372036854775809"}
-0	0
{"~i":"-9223372036854775808"}	-9223372036854775808
"\u00e9\ud83d\ude00\/"	"é😀/"
{ "~x" : "00FF" }	{"~x":"00ff"}
{"~t":"2026-11-20t10:00:00.50z"}	{"~t":"2026-11-20T10:00:00.5Z"}
END
ok "put a value that stays" "" put demo /v '"stays"'
before=$(newest demo)
while IFS="$TAB" read -r value pattern; do
	no "refused: $value" 2 "VALUE is not $pattern" put demo /v "$value"
done <<'END'
alice	JSON, at byte 1: *in quotes*
'alice'	JSON, at byte 1: *
"open	JSON, at byte 6: *no end*
01	JSON, at byte 2: *
1.	JSON, at byte 3: *digit*
.5	JSON, at byte 1: *
+1	JSON, at byte 1: *
nan	JSON, at byte 1: *
1e999	JSON, at byte 1: *~m*
1e-999	JSON, at byte 1: *~m*
1 2	JSON, at byte 3: *
{"~x":"0"}	one that can be stored: *
{"~x":"zz"}	one that can be stored: *
{"~x":1}	one that can be stored: *
{"~q":1}	one that can be stored: *~x*
{"~p":[1,]}	JSON, at byte 10: *
{"~p":[[1]]}	one that can be stored: *~p*
{"~p":1}	one that can be stored: *
{"~t":"yesterday"}	one that can be stored: *
{"~t":"2023-02-29T00:00:00Z"}	one that can be stored: *
{"~u":"2f1c"}	one that can be stored: *
{"~g":[0,1]}	one that can be stored: *
{"~g":1}	one that can be stored: *
{"~g":[1,{"~g":[2,3]}]}	one that can be stored: *
{"~d":"nan7ff0000000000000"}	one that can be stored: *
"\ud800"	JSON, at byte *
END
no "refused: a decimal with an exponent" 2 "*" put demo /v '{"~m":"1e5"}'
no "refused: an integer with a fraction" 2 "*" put demo /v '{"~i":"1.5"}'
no "refused: no value" 2 "VALUE is not JSON*" put demo /v ''
no "refused: not UTF-8" 2 "VALUE is not JSON*UTF-8*" put demo /v "$(printf '"\377"')"
no "a path that is no JSON Pointer" 2 "*" put demo alice 1
no "a path that is no JSON Pointer, get" 2 "*" get demo alice
no "a path that is no JSON Pointer, del" 2 "*" del demo alice
no "a step that is no key" 2 "*" get demo "/~z"
no "a path below a value" 3 "*" put demo /v/deeper 1
no "a key over the limit" 3 "*" put demo "/$(printf 'x%.0s' {1..1100})" 1
no "a label over the limit" 3 "*" put demo /v 1 --label "$(printf 'x%.0s' {1..64})"
is "nothing that was refused changed anything" "\"stays\" $before" \
	"$("$DURAMEN" get demo /v) $(newest demo)"
printf '\0\1raw\377' > raw.bin
stdin=raw.bin ok "put --raw from stdin" "" put demo /raw --raw -
ok "bytes were stored" '{"~x":"0001726177ff"}' get demo /raw
"$DURAMEN" get demo /raw --raw > raw.out
is "get --raw gives the same bytes" "" "$(cmp raw.bin raw.out 2>&1)"
ok "put --raw, an argument" "" put demo /raw --raw alice
ok "get --raw has no line end" alice get demo /raw --raw
no "get --raw of a number" 3 "*--raw*" get demo /alice --raw
echo '"from stdin"' > value.json
stdin=value.json ok "put JSON from stdin" "" put demo /v -
ok "get it" '"from stdin"' get demo /v
head -c 300000 /dev/zero | tr '\0' x > large.bin
stdin=large.bin ok "put a large value" "" put demo /large --raw -
"$DURAMEN" get demo /large --raw > raw.out
is "get a large value" "" "$(cmp large.bin raw.out 2>&1)"
ok "del" "" del demo /large
run get demo /large
is "it is gone" "1|" "$status|$out"
ok "a typed key" "" put demo "/~i42" '"by number"'
ok "a typed key is another than its text" "" put demo /42 '"by text"'
ok "get by number" '"by number"' get demo "/~i42"
ok "get by text" '"by text"' get demo /42

# ---- Old states ----

ok "create history" "" create history
"$DURAMEN" put history /k 1 --label first
one=$(newest history)
sleep 0.01
"$DURAMEN" put history /k 2
"$DURAMEN" put history /k 3 --label third
ok "get --at a number" 1 get history /k --at "$one"
ok "get --at=-1" 2 get history /k --at=-1
ok "get --at -2" 1 get history /k --at -2
ok "get --at latest" 3 get history /k --at latest
when=$("$DURAMEN" log history | awk -v s="$one" '$1 == s { print $2 }')
ok "get --at a time as log prints it" 1 get history /k --at "$when"
ok "scan --at" '{"key":"k","value":2}' scan history --at -1
ok "dump --at" '{"key":"k","value":1}' dump history --at -2
ok "scan --count --at before the first put" 0 scan history --count --at "$((one - 1))"
no "--at a state that never was" 1 "there is no state 999999 *duramen log*" get history /k --at 999999
no "--at before the first" 1 "there is no state -1000 *" get history /k --at -1000
no "--at nonsense" 2 "*" get history /k --at 'no such!'
run log history
is "log: newest first" "third - first" \
	"$(echo "$out" | awk '{ l = $6; print l == "" ? "-" : l }' | head -3 | xargs)"
is "log: entries" "1 1 1" "$(echo "$out" | awk 'NR <= 3 { print $3 }' | xargs)"
run log history --limit 2
is "log --limit" 2 "$(echo "$out" | wc -l)"
run log history --limit 1 --json
has "log --json" '{"state":*,"time":"20??-??-??T??:??:??.?????????Z","entries":1,"written_bytes":*,"on_disk":true,"label":"third","names":[]}' "$out"
ok "create --keep last:2" "" create short --keep last:2
for i in 1 2 3 4 5; do
	"$DURAMEN" put short /k $i
done
run log short
is "last:2 keeps two" 2 "$(echo "$out" | wc -l)"
ok "last:2, the older one" 4 get short /k --at -1
no "last:2, one that is gone" 1 "*" get short /k --at -2

# ---- The log of keys ----

ok "create changes" "" create changes
"$DURAMEN" put changes /alice 25 --label birth
"$DURAMEN" put changes /bob '"x"'
"$DURAMEN" put changes /alice '{"~x":"00ff"}'
"$DURAMEN" put changes /alice '{"~x":"00ff"}'
"$DURAMEN" del changes /alice --label gone
# of an NDJSON line all but time; of a table's line all but state and time
told() { sed 's/"time":"20[^"]*Z",//'; }
run log changes /alice --json
is "log of a key: status" "0|" "$status|$err"
is "log of a key" '{"state":6,"kind":"removed","path":"/alice","old":{"~x":"00ff"}}
{"state":4,"kind":"changed","path":"/alice","old":25,"now":{"~x":"00ff"}}
{"state":2,"kind":"added","path":"/alice","now":25}' "$(echo "$out" | told)"
run log changes /alice
is "log of a key, for people" '6 - /alice {"~x":"00ff"}
4 ~ /alice 25 -> {"~x":"00ff"}
2 + /alice 25' "$(echo "$out" | awk '{ $2 = ""; print }' | tr -s ' ')"
has "log of a key: times" "*  20??-??-??T??:??:??.?????????Z  - /alice*" "$out"
is "log --limit of a key" 6 "$("$DURAMEN" log changes /alice --limit 1 --json | sed 's/.*"state":\([0-9]*\).*/\1/')"
run log changes "" --json
is "log of all keys" "6/alice 4/alice 3/bob 2/alice" \
	"$(echo "$out" | sed 's/.*"state":\([0-9]*\).*"path":"\([^"]*\)".*/\1\2/' | xargs)"
is "log --from" 1 "$("$DURAMEN" log changes --from b | wc -l)"
is "log --to" 3 "$("$DURAMEN" log changes --to b | wc -l)"
is "log --starts" 3 "$("$DURAMEN" log changes --starts al | wc -l)"
no "log of a key that never was" 1 "nothing has changed there *" log changes /carol
no "log of a path that is none" 2 "*" log changes alice
no "log --starts with --from" 2 "--starts *" log changes --starts a --from b
no "log --plot with a path" 2 "log --plot *" log changes /alice --plot
is "log shows labels of put and del" "gone birth" "$("$DURAMEN" log changes | awk 'NF > 5 { print $6 }' | xargs)"
run log short /k
is "log of a key where states are gone" "0| ~ /k 4 -> 5" \
	"$status|$(echo "$out" | awk '{ $1 = $2 = ""; print }' | tr -s ' ')"
has "it says so" "duramen: states before 5 are no longer retained*" "$err"
"$DURAMEN" put changes /carol 1
is "log --json --limit, before the oldest: no message" "" "$("$DURAMEN" log short /k --limit 1 2>&1 > /dev/null)"

# ---- Growth, drawn ----

ok "create growth" "" create growth
for i in 1 2 3 4; do
	"$DURAMEN" put growth "/k$i" 1
done
"$DURAMEN" del growth /k1
# each of these commits writes the same: the unit of the charts of bytes
written=$("$DURAMEN" log growth --limit 4 --json | sed 's/.*"written_bytes":\([0-9]*\).*/\1/' | sort -u)
is "equal commits write equally much" 1 "$(echo "$written" | wc -l)"
kib() { awk -v n="$1" 'BEGIN { t = sprintf("%.1f KiB", n / 1024); printf "%10s", t }'; }
run log growth
first=$(echo "$out" | sed -n 4p | awk '{ print $2 }') last=$(echo "$out" | sed -n 1p | awk '{ print $2 }')
middle=$(echo "$out" | sed -n 2p | awk '{ print $2 }')
COLUMNS=60 run log growth --limit 4 --plot
is "log --plot: in 60 columns" "growth: 4 states
bytes written by a state
$(kib "$written") |####### ####### ####### #######
           |####### ####### ####### #######
           |####### ####### ####### #######
           |####### ####### ####### #######
           |####### ####### ####### #######
           |####### ####### ####### #######
       0 B +--------------------------------
bytes written in all
$(kib $((written * 4))) |                        #######
           |                ....... #######
           |                ####### #######
           |        ####### ####### #######
           |....... ####### ####### #######
           |####### ####### ####### #######
       0 B +--------------------------------
entries
         4 |                #######
           |        ....... ####### .......
           |        ####### ####### #######
           |####### ####### ####### #######
           |####### ####### ####### #######
           |####### ####### ####### #######
         0 +--------------------------------
            3              5               6
            ${first%.*}Z  ${last%.*}Z" "$out"
COLUMNS=200 run log growth --limit 4 --plot
is "log --plot: thick columns end" 44 "$(echo "$out" | sed -n 9p | tr -d '\n' | wc -c)"
COLUMNS=30 run log demo --plot
is "log --plot: never below 40" 40 "$(echo "$out" | awk '{ if (length > n) n = length } END { print n }')"
seq 1 300 | sed 's/.*/{"key":&,"value":0}/' > 300.ndjson
ok "create grown" "" create grown --keep last:1000
ok "load grown" "" load grown --batch 1 --async 300.ndjson
COLUMNS=52 run log grown --plot
is "log --plot: 301 states in 40 columns: title" "grown: 301 states, 8 to a column" "$(echo "$out" | head -n 1)"
is "log --plot: 301 states in 40 columns: entries" "entries
       300 |                                   ..::#
           |                            ...::#######
           |                      ..::##############
           |               ..:::####################
           |         ..::###########################
           |....::##################################
         0 +----------------------------------------
            1                 151                301" "$(echo "$out" | sed -n '/^entries/,$p' | head -n 9)"
is "log --plot: width" 52 "$(echo "$out" | awk '{ if (length > n) n = length } END { print n }')"
COLUMNS='' run log grown --plot
is "log --plot: 80 where nothing is known" 80 "$(echo "$out" | awk '{ if (length > n) n = length } END { print n }')"

# ---- Diff and restore ----

ok "create versions" "" create versions
printf '{"key":"a","value":1}\n{"key":"b","value":"two"}\n{"key":3,"value":null}\n' > versions.ndjson
ok "load versions" "" load versions versions.ndjson
first=$(newest versions)
"$DURAMEN" put versions /b '{"~g":[7,"two"]}'
"$DURAMEN" del versions /a
"$DURAMEN" put versions /~pa,~i1 '{"~x":"00ff"}'
differs() { # WHAT EXPECTED ARGUMENT...: status 1, this output, no message
	local what=$1 expected=$2
	shift 2
	run diff versions "$@"
	is "$what" "1|$expected|" "$status|$out|$err"
}
rows='{"kind":"removed","path":"/a","old":1}
{"kind":"added","path":"/~pa,~i1","now":{"~x":"00ff"}}
{"kind":"changed","path":"/b","old":"two","now":{"~g":[7,"two"]}}'
differs "diff, by number" "$rows" "$first"
differs "diff, by distance and latest" "$rows" -3 latest
differs "diff, two old states" "$(echo "$rows" | grep -v added)" "$first" -1
differs "diff, the other way round" '{"kind":"added","path":"/a","now":1}
{"kind":"removed","path":"/~pa,~i1","old":{"~x":"00ff"}}
{"kind":"changed","path":"/b","old":{"~g":[7,"two"]},"now":"two"}' latest "$first"
differs "diff of one entry" "$(echo "$rows" | head -1)" "$first" latest /a
differs "diff of everything" "$rows" "$first" latest ""
ok "diff of an entry that is the same" "" diff versions "$first" latest /~i3
ok "diff of an entry that never was, though tuples begin with it" "" diff versions -1 latest /a
ok "diff of a state and itself" "" diff versions -2 -2
no "diff, no such state" 1 "there is no state 99999 *" diff versions 99999
no "diff, no state" 1 "there is no state *" diff versions yesterday
no "diff, bad path" 2 "*" diff versions "$first" latest a

before=$(newest versions)
ok "restore" "" restore versions "$first" --label undo
is "restore is one commit" 0 "$("$DURAMEN" diff versions "$before" -1 > restored; wc -l < restored)"
ok "restored states are equal" "" diff versions "$first"
is "with the label" 1 "$("$DURAMEN" log versions | grep -c ' undo$')"
differs "the state before it is there still" "$rows" "$first" "$before"
ok "restore of what is there already" "" restore versions "$first"
is "makes no state" "$((before + 1))" "$(newest versions)"
ok "restore of the state before" "" restore versions -1
ok "undoes a restore" "" diff versions "$before"
no "restore, no such state" 1 "there is no state 99999 *" restore versions 99999
"$DURAMEN" name versions start "$first"
differs "diff, by name" "$rows" start latest
ok "check of it all" "versions is sound" check versions --history

# ---- Ranges ----

ok "create letters" "" create letters
for k in d a c b e; do
	"$DURAMEN" put letters /$k "\"$k\""
done
keys() { # ARGUMENT...
	"$DURAMEN" scan letters "$@" | sed 's/{"key":"\(.\)".*/\1/' | xargs
}
is "scan" "a b c d e" "$(keys)"
is "scan --from" "c d e" "$(keys --from c)"
is "scan --from, with its slash" "c d e" "$(keys --from /c)"
is "scan --from between keys" "c d e" "$(keys --from bb)"
is "scan --to" "a b" "$(keys --to c)"
is "scan --from --to" "b c" "$(keys --from b --to d)"
is "scan --reverse" "e d c b a" "$(keys --reverse)"
is "scan --reverse --from --to --limit" "d c" "$(keys --reverse --from b --to e --limit 2)"
is "scan --limit" "a b" "$(keys --limit 2)"
is "scan, an empty range" "" "$(keys --from x)"
ok "scan --count" 5 scan letters --count
ok "scan --count in a range" 2 scan letters --count --from b --to d
no "scan, a bad bound" 2 "*" scan letters --from '~z'
no "scan of a value" 3 "*not a collection*" scan letters /a
run scan letters /zz
is "scan of nothing" 1 "$status"

# ---- Raw keys ----

ok "create --raw" "" create raw --raw
ok "put a raw key" "" put raw /alice 1
ok "put a raw key of bytes" "" put raw "/~xff00" 2
ok "scan raw keys" '{"key":"alice","value":1}
{"key":{"~x":"ff00"},"value":2}' scan raw
ok "get a raw key" 2 get raw "/~xff00"
no "a typed key in a raw prefix" 3 "*" put raw "/~i1" 1

# ---- Files ----

cat > all.ndjson <<'END'
{"key":null,"value":null}
{"key":"","value":true}
{"key":"plain","value":"text"}
{"key":"a\tb\nc\rd\\e","value":"\ttab\n\r\\ \\= \\t"}
{"key":"\\=5","value":"\\=5"}
{"key":"nul\u0000","value":"\u0000\u0001"}
{"key":"é","value":"☃"}
{"key":{"~x":""},"value":{"~x":"00ff"}}
{"key":{"~p":["a",1]},"value":{"~p":["a",{"~p":[]},1.5]}}
{"key":{"~i":"-12345678901234567890123"},"value":{"~i":"12345678901234567890123"}}
{"key":-5,"value":-9223372036854775808}
{"key":0,"value":0}
{"key":9007199254740993,"value":9223372036854775807}
{"key":{"~d":"-inf"},"value":{"~d":"nan7ff8000000000001"}}
{"key":0.1,"value":-0.0}
{"key":false,"value":1e22}
{"key":{"~u":"2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab"},"value":{"~u":"2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab"}}
{"key":{"~m":"1.50"},"value":{"~m":"-1.00"}}
{"key":{"~t":"2026-11-20T10:00:00.5+02:00"},"value":{"~t":"2026-11-20T10:00:00"}}
{"key":{"~r":"2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab"},"value":{"~w":"2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab"}}
{"key":"tagged","value":{"~g":[7,{"~t":"1969-12-31T23:59:59.25Z"}]}}
END
ok "create types" "" create types
ok "load" "" load types all.ndjson
"$DURAMEN" dump types > types.ndjson
is "dump has every entry as it was" "$(sort all.ndjson)" "$(sort types.ndjson)"
for format in ndjson tsv json; do
	"$DURAMEN" dump types --format $format > "dump.$format"
	ok "create copy-$format" "" create "copy-$format"
	ok "load --format $format" "" load "copy-$format" --format $format "dump.$format"
	"$DURAMEN" dump "copy-$format" > again.ndjson
	is "$format round-trips" "" "$(cmp types.ndjson again.ndjson 2>&1)"
done
is "tsv: plain strings are plain" "plain${TAB}text" "$(grep -a ^plain dump.tsv)"
ok "create copy-raw" "" create copy-raw --raw
"$DURAMEN" dump raw | "$DURAMEN" load copy-raw -
is "raw keys round-trip" "$("$DURAMEN" dump raw)" "$("$DURAMEN" dump copy-raw)"
ok "create files" "" create files
echo '{"a":1,"b":{"~x":"00"}}' > object.json
ok "load an object" "" load files --format json object.json
ok "it has both" '{"key":"a","value":1}
{"key":"b","value":{"~x":"00"}}' scan files
printf ' { "n\\u0000" :1\n,"é":-2.5e1, "t" : true,\n"nothing":null}\n' > object.json
ok "create object" "" create object
ok "load an object with space and words" "" load object --format json object.json
ok "it has all" '{"key":"n\u0000","value":1}
{"key":"nothing","value":null}
{"key":"t","value":true}
{"key":"é","value":-25.0}' scan object
ok "dump nothing as json" "[]" dump letters --format json --at 1
before=$(newest files)
seq 1 25 | sed 's/.*/{"key":&,"value":&}/' > 25.ndjson
ok "load --batch" "" load files --batch 10 --label part 25.ndjson
is "25 entries in batches of 10 are three commits" $((before + 3)) "$(newest files)"
is "each with the label" 3 "$("$DURAMEN" log files | grep -c ' part$')"
ok "load nothing" "" load files /dev/null
is "which is no commit" $((before + 3)) "$(newest files)"
ok "load --async" "" load files --async --batch 5 25.ndjson
ok "they are there" 27 scan files --count
printf '{"key":"x","value":1}\r\n\n{"key":"x","value":2}' > crlf.ndjson
ok "load: line ends, empty lines, the last of equal keys" "" load files crlf.ndjson
ok "it is the last" 2 get files /x

wrong_file() { # WHAT FORMAT TEXT PATTERN
	# shellcheck disable=SC2059
	printf "$3" > wrong.txt
	before=$(newest files)
	no "load, $1" 3 "wrong.txt: $4" load files --format "$2" --batch 2 wrong.txt
}
good='{"key":"g","value":1}\n'
wrong_file "bad JSON" ndjson "$good"'{"key":"h","value":oops}' 'line 2, column 20: *nothing was committed'
is "load, bad JSON: nothing is committed" "$before" "$(newest files)"
wrong_file "in a later batch" ndjson "$good$good$good"'{"key":"é","value":{"~q":1}}' \
	'line 4, column 21: there is no form*the first 2 entries are committed, in 1 commit*state*'
is "load: the batch before is committed" $((before + 1)) "$(newest files)"
wrong_file "no key" ndjson '{"value":1}' 'line 1, column 1: *"key"*'
wrong_file "a key twice" ndjson '{"key":1,"key":2}' 'line 1, column 10: duplicate*'
wrong_file "another member" ndjson '{"key":1,"value":2,"label":3}' 'line 1, column 20: *no other member*'
wrong_file "cut off" ndjson '{"key":"é","val' 'line 1, column 16: *no end*'
wrong_file "an object as a key" ndjson '{"key":{"a":1},"value":1}' 'line 1, column 14: a key is*~p*'
wrong_file "two entries on a line" ndjson '{"key":1,"value":2} {"key":3,"value":4}' 'line 1, column 21: *line*'
wrong_file "an entry on two lines" ndjson '{"key":1,\n"value":2}' 'line 1, column 10: *--format json*'
wrong_file "a byte order mark" ndjson '\357\273\277{"key":1,"value":2}' 'line 1, column 1: *byte order mark*'
wrong_file "half a surrogate pair" ndjson '{"key":"\\ud83d!","value":2}' 'line 1, column 15: *surrogate*'
wrong_file "no tab" tsv 'a\tb\nab\n' 'line 2, column 3: *tab*'
wrong_file "two tabs" tsv 'a\tb\tc\n' 'line 1, column 4: *tab*'
wrong_file "a bad escape" tsv 'a\tb\\c\n' 'line 1, column 4: *'
wrong_file "bad JSON in a column" tsv 'é\t\\=[1,x]\n' 'line 1, column 8: *'
wrong_file "what cannot be stored in a column" tsv 'é\t\\={"~q":1}\n' 'line 1, column 6: there is no form*'
wrong_file "not UTF-8" tsv 'a\tb\377\n' 'line 1, column 3: *'
wrong_file "an array cut off" json '[{"key":1,"value":2},\n{"key"' 'line 2, column *'
wrong_file "an array without end" json '[{"key":1,"value":2}' 'line 1, column 21: *no end*'
wrong_file "an array without comma" json '[{"key":1,"value":2}\n {"key":3,"value":4}]' 'line 2, column 2: *'
wrong_file "an array with a comma too many" json '[{"key":1,"value":2},]' 'line 1, column 22: *'
wrong_file "an element over two lines" json '[{"key":1,"value":2}, {"key":1,\n"value":oops}]' 'line 2, column 9: *'
wrong_file "an element that cannot be stored" json '[\n {"key":1,\n"value":{"~q":1}}]' 'line 3, column 10: there is no form*'
wrong_file "no entry in an array" json '[5]' 'line 1, column 2: *'
wrong_file "an object without colon" json '{"a" 1}' 'line 1, column 6: *'
wrong_file "an object without name" json '{"a":1,2:3}' 'line 1, column 8: *'
wrong_file "an object with a comma too many" json '{"a":1,}' 'line 1, column 8: *'
wrong_file "an object with a word cut short" json '{"a":tru,"b":1}' 'line 1, column 6: *'
wrong_file "an object with a number badly ended" json '{"a":12é}' 'line 1, column 8: *'
wrong_file "a value of an object that cannot be stored" json '{"a":1,\n"b":{"~q":1}}' 'line 2, column 6: there is no form*'
wrong_file "something behind it" json '[] x' 'line 1, column 4: *'
wrong_file "neither array nor object" json '5' 'line 1, column 1: *'
wrong_file "a key that cannot be" ndjson "$good{\"key\":\"$(printf 'x%.0s' {1..1100})\",\"value\":1}" \
	'line 2, column 1: *nothing was committed'
wrong_file "a tagged key" ndjson '{"key":{"~g":[1,2]},"value":1}' 'line 1, column 1: *'
no "load, no such file" 3 "cannot open nosuch.txt: *" load files nosuch.txt
no "load, a folder" 3 "*" load files .
# A load reads ahead of what it puts. One that waits for more of a pipe ends all the same.
mkfifo load.pipe
waiting_load() { # BATCH: reads what comes through 8
	"$DURAMEN" load files load.pipe --batch "$1" 2> load.err &
	loader=$!
	children+=("$loader")
	exec 8> load.pipe
}
ends_waiting() { # WHAT PATTERN
	wait "$loader"
	is "load, $1: status" 3 $?
	has "load, $1" "duramen: $2" "$(cat load.err)"
	exec 8>&-
}
waiting_load 1
printf '{"key":"%s","value":1}\n' "$(printf 'x%.0s' {1..1100})" >&8
ends_waiting "refused while it waits" "load.pipe: line 1, column 1: *nothing was committed"
waiting_load 2
before=$(newest files)
printf '{"key":%s,"value":1}\n' 1 2 3 >&8
arrived() {
	[ "$(newest files)" -gt "$before" ]
}
until_true arrived
kill -TERM "$loader"
ends_waiting "ended while it waits" "interrupted*the first 2 entries are committed, in 1 commit*"
head -c 200000 /dev/urandom > noise.bin
for format in ndjson tsv json; do
	run load files --format $format noise.bin
	is "load noise as $format: status" 3 "$status"
done

# ---- Waiting and watching ----

now=$(newest demo)
run wait demo --after "$now" --timeout 50
is "wait: timeout" "1||" "$status|$out|$err"
ok "wait: there is one already" "$now" wait demo --after 0
ok "wait --json" "{\"state\":$now}" wait demo --after "$((now - 1))" --json
no "wait without --after" 2 "wait needs --after*" wait demo
"$DURAMEN" wait demo --after latest > wait.out &
waiter=$!
children+=("$waiter")
sleep 0.1
"$DURAMEN" put demo /alice 26
wait "$waiter"
is "wait is woken by another process" "0 $((now + 1))" "$? $(cat wait.out)"

ok "create watched" "" create watched
"$DURAMEN" watch watched --after 0 --count 9 > watch.out &
watcher=$!
children+=("$watcher")
"$DURAMEN" watch watched --json > watch.json 2> watch.err &
endless=$!
children+=("$endless")
seen() { # FILE PATTERN
	grep -q "$2" "$1"
}
# The one without --after begins with whatever is new once it is there.
until_true lines watch.out 1
put_until_seen() {
	"$DURAMEN" put watched /k 0 --label before && seen watch.json state
}
until_true put_until_seen
for i in 1 2 3 4 5 6 7 8; do
	"$DURAMEN" put watched /k "$i" --label "label $i"
done
wait "$watcher"
is "watch --count ends" 0 $?
is "watch --count 9" 9 "$(wc -l < watch.out)"
is "watch has no gap" "$(awk 'NR == 1 { n = $1 } { print n++ }' watch.out)" "$(awk '{ print $1 }' watch.out)"
has "watch shows labels" "*before*" "$(cat watch.out)"
until_true seen watch.json "label 8"
is "watch --json sees each" "$(wc -l < watch.json)" "$(grep -c '"state":.*"time":".*"entries":1' watch.json)"
kill -TERM "$endless"
wait "$endless"
is "watch ends cleanly on SIGTERM" "0 " "$? $(cat watch.err)"
# A file of its own: the shell may not have emptied an old one before it is looked at.
"$DURAMEN" watch watched --after 0 > watch.stop &
endless=$!
children+=("$endless")
until_true lines watch.stop 8
kill -INT "$endless" 2>/dev/null # a shell's background jobs ignore it: then SIGTERM
kill -TERM "$endless" 2>/dev/null
wait "$endless"
is "watch ends cleanly" 0 $?
mkfifo closing
"$DURAMEN" watch watched --after 0 > closing 2> watch.err &
endless=$!
children+=("$endless")
head -n 1 closing > /dev/null
wait "$endless"
is "watch ends when its output is closed" "0 " "$? $(cat watch.err)"

# ---- Watching changes ----

ok "create changing" "" create changing --keep last:100
"$DURAMEN" put changing /k 0
"$DURAMEN" put changing /other '"x"'
start=$(newest changing)
run watch changing "" --after 1 --count 2
is "watch of everything" '{"state":N,"time":T,"kind":"added","path":"/k","now":0,"end":true}
{"state":N,"time":T,"kind":"added","path":"/other","now":"x","end":true}' \
	"$(echo "$out" | sed 's/"state":[0-9]*,"time":"[^"]*"/"state":N,"time":T/')"
"$DURAMEN" load changing --batch 2 - < <(printf '{"key":"k","value":%s}\n{"key":"l","value":%s}\n' 1 1 2 2)
changed() { # what was printed, without times
	sed 's/"state":[0-9]*,"time":"[^"]*",//' "$@"
}
run watch changing "" --after "$start" --count 2
is "watch: the last change of a state has end" '{"kind":"changed","path":"/k","old":0,"now":1}
{"kind":"added","path":"/l","now":1,"end":true}
{"kind":"changed","path":"/k","old":1,"now":2}
{"kind":"changed","path":"/l","old":1,"now":2,"end":true}' "$(echo "$out" | changed)"
run watch changing /l --after "$start" --count 2
is "watch of one entry" '{"kind":"added","path":"/l","now":1,"end":true}
{"kind":"changed","path":"/l","old":1,"now":2,"end":true}' "$(echo "$out" | changed)"
run watch changing --coalesce --after "$start" --count 1
is "watch --coalesce" '{"kind":"changed","path":"/k","old":0,"now":2}
{"kind":"added","path":"/l","now":2,"end":true}' "$(echo "$out" | changed)"
run watch changing /k --after 0 --count 3
is "watch --after 0: from the oldest state" 3 "$(echo "$out" | grep -c '"path":"/k"')"
no "watch, no such state" 1 "*does not exist yet*" watch changing "" --after 99999
no "watch, bad path" 2 "*" watch changing k

# a watcher that is killed again and again, and resumed after the last state it printed whole
resume=$(newest changing)
(for i in $(seq 1 60); do "$DURAMEN" put changing /k "$i"; done) &
children+=("$!")
: > gathered
for _ in $(seq 1 1000); do
	"$DURAMEN" watch changing "" --after "$resume" > piece &
	watcher=$!
	children+=("$watcher")
	sleep 0.0$((RANDOM % 9 + 1))
	kill -9 "$watcher"
	wait "$watcher" 2> /dev/null
	awk '{ kept = kept $0 "\n" } /,"end":true}$/ { printf "%s", kept; kept = "" }' piece > whole
	cat whole >> gathered
	[ -s whole ] && resume=$(tail -1 whole | sed 's/.*"state":\([0-9]*\).*/\1/')
	[ "$(wc -l < gathered)" -ge 60 ] && break
done
is "no gap and no repeat through kills" "$(seq 1 60 | tr '\n' ' ')" \
	"$(sed 's/.*"now":\([0-9]*\).*/\1/' gathered | tr '\n' ' ')"

"$DURAMEN" watch changing /k > follow 2> watch.err &
watcher=$!
children+=("$watcher")
until_true eval 'sleep 0.1; "$DURAMEN" put changing /k "$RANDOM"; [ -s follow ]'
kill -TERM "$watcher"
wait "$watcher"
is "watch of changes ends cleanly on SIGTERM" "0 " "$? $(cat watch.err)"
is "it printed whole lines" "$(wc -l < follow)" "$(grep -c '^{"state":.*}$' follow)"
for i in $(seq 1 100); do "$DURAMEN" put changing /k "$i" --async; done
no "watch of a state that is gone" 1 "state $start is no longer retained*" watch changing "" --after "$start"

# ---- Packing ----

"$DURAMEN" create packed
"$DURAMEN" put packed /k '"first"'
first=$(newest packed)
for n in 1 2 3 4 5 6; do "$DURAMEN" put packed /k "$n"; done
ok "pack" "" pack packed
ok "a packed state" '"first"' get packed /k --at "$first"
ok "the newest one" 6 get packed /k
run stat packed --json
has "stat: packed bytes" '*"packed_bytes":4096,*' "$out"
ok "what is packed is sound" "packed is sound" check packed --history
ok "pack again" "" pack packed
no "pack nothing" 3 "there is no prefix nosuch*" pack nosuch
ok "drop it" "" drop packed

# ---- Two processes ----

hold read watched
run readers watched
has "readers: pid, views, state" "*$held *1 *$(newest watched) * s *" "$out"
run readers watched --json
has "readers --json" "{\"pid\":$held,\"views\":1,\"oldest\":$(newest watched),\"age_ms\":*,\"held_bytes\":*}" \
	"$out"
no "drop while it is attached" 3 "*" drop watched
"$DURAMEN" put watched /k '"new"'
release read
run readers watched
is "no readers any more" "" "$out"
hold read watched
kill -KILL "$held"
wait "$held" 2> /dev/null
exec 9>&-
rm hold.read
"$DURAMEN" put watched /k '"newer"'
run readers watched
is "a killed reader does not count" "" "$out"

before=$(newest watched)
hold write watched
no "a second writer" 3 "*$held*" put watched /k 1 --lock-timeout 50
no "a second writer that does not wait" 3 "*$held*" del watched /k --lock-timeout 0
no "a second writer, load" 3 "*$held*" load watched 25.ndjson --lock-timeout 50
ok "readers go on" '"newer"' get watched /k
"$DURAMEN" put watched /k '"in turn"' --lock-timeout 100000 9>&- &
second=$!
children+=("$second")
sleep 0.1
release write
wait "$second"
is "a second writer gets its turn" 0 $?
ok "and writes" '"in turn"' get watched /k

ok "create --memory, cut short" "" create memory --mem
ok "put into memory" "" put memory /a 1
ok "get from memory" 1 get memory /a
run ls
has "ls shows it" "* memory  memory*" "$out"
ok "drop it" "" drop memory
no "then it is gone" 3 "there is no prefix memory*" get memory /a

# ---- Looking inside, and damage ----

run stat demo
is "stat: status" 0 "$status"
has "stat" "*prefix*demo*entries*newest state*file*" "$out"
run stat demo --json
has "stat --json" '{"name":"demo","uuid":"*","keep":"all",*"entries":*,"newest":*}' "$out"
is "stat: the kinds add up to the file" 0 "$(echo "$out" | tr -d '{}"' | tr , '\n' | awk -F: '
	/^(live|retained|packed|free|metadata)_bytes:/ { n += $2 }
	/^file_bytes:/ { file = $2 } END { print file - n }')"
has "stat: nobody reads" '*"held":*' "$out"
ok "check" "demo is sound" check demo
ok "check --history" "history is sound" check history --history
ok "check --json" '{"prefix":"demo","sound":true,"problems":0}' check demo --json
file=duramen-data/history.dur
cp "$file" page.file
damaged() { # WHAT: a message and status 3, or the right answer; never a crash, never a wrong answer
	run get history /k
	case "$status|$out|$err" in
	"0|3|"* | "3||duramen: "*) passed=$((passed + 1)) ;;
	*) bad "get, $1" "the right value or an error" "$status|$out|$err" ;;
	esac
	run check history --history
	case $status in
	0 | 3) passed=$((passed + 1)) ;;
	*) bad "check, $1" "status 0 or 3" "$status|$out|$err" ;;
	esac
}
restore() { # the page file as it was, and no coordination file that knows of anything else
	rm -f "$file-coord"
	cp page.file "$file"
}
size=$(stat -c %s page.file)
RANDOM=${SEED:-7} # each failure names its byte
for ((i = 0; i < 30; i++)); do
	restore
	at=$(((RANDOM * 32768 + RANDOM) % (i < 15 ? 65536 : size)))
	byte=$(od -An -tu1 -j $at -N 1 "$file")
	# shellcheck disable=SC2059
	printf "\\$(printf %o $((byte ^ 1 << RANDOM % 8)))" |
		dd of="$file" bs=1 seek=$at conv=notrunc status=none
	damaged "a bit flipped in byte $at"
done
for at in 0 1 100 4095 4096 8192 12288 20000 $((size / 2)) $((size - 1)); do
	restore
	truncate -s $at "$file"
	damaged "cut off at $at"
done
restore
head -c 20000 /dev/urandom > "$file"
no "not a page file, get" 3 "*" get history /k
no "not a page file, put" 3 "*" put history /k 1
is "and it stays as it is" 20000 "$(stat -c %s "$file")"
restore
ok "the undamaged file again" 3 get history /k

# ---- Backup, receive, compact ----

ok "a prefix to back up" "" create backed/up
for i in 1 2 3 4 5; do
	"$DURAMEN" put backed/up /k "$i" --label "commit $i"
	"$DURAMEN" put backed/up "/k$i" "\"$(head -c 3000 /dev/zero | tr '\0' "$i")\""
done
middle=$(($(newest backed/up) - 4))
ok "backup into a file" "" backup backed/up whole --at "$middle"
ok "receive it" "" receive copies/one whole
is "what it says it is, byte for byte" "$("$DURAMEN" dump backed/up --at "$middle")" \
	"$("$DURAMEN" dump copies/one)"
is "and the number of the state" "$middle" "$(newest copies/one)"
no "receive it again" 3 "prefix copies/one exists*" receive copies/one whole
ok "an increment" "" backup backed/up more --since "$middle" --history
"$DURAMEN" receive copies/one - < more
is "received" 0 $?
for back in 0 1 2 3 4; do
	is "$back states back" "$("$DURAMEN" dump backed/up --at -$back)" \
		"$("$DURAMEN" dump copies/one --at -$back)"
done
is "its log" "$("$DURAMEN" log backed/up --limit 5 | cut -c 1-50)" "$("$DURAMEN" log copies/one | cut -c 1-50)"
run receive copies/one more
is "all of it is there" "0||duramen: copies/one has all of it already" "$status|$out|$err"
"$DURAMEN" backup backed/up --history | "$DURAMEN" receive copies/two
is "through a pipe" "0 0" "${PIPESTATUS[*]}"
is "all states" "$("$DURAMEN" log backed/up | cut -c 1-50)" "$("$DURAMEN" log copies/two | cut -c 1-50)"
ok "check of the copy" "copies/one is sound" check copies/one --history
head -c 100 whole > cut
no "name, in a copy" 3 "the prefix is a copy *" name copies/two mine
no "keep, in a copy" 3 "the prefix is a copy *" keep copies/two last:3
no "receive a stream that was cut off" 3 "the backup stream *" receive copies/three cut
no "receive what is none" 3 "this is not a backup stream*" receive copies/three "$SRC/Makefile"
no "receive an increment of nothing" 3 "there is no prefix copies/three*" receive copies/three more
no "nothing came of it" 3 "there is no prefix copies/three*" get copies/three /k
no "no such file" 3 "cannot open nowhere: *" receive copies/three nowhere
no "no such state" 1 "*" backup backed/up x --since 99999
no "a state that comes later" 3 "state *" backup backed/up x --at 2 --since 3
no "a folder for a file" 3 "cannot write *" backup backed/up .
is "no half of a backup" "" "$(ls | grep -e part -e '^x$')"
"$DURAMEN" backup backed/up > /dev/full 2> stderr.txt
is "a full disk: status" 3 $?
has "a full disk" "duramen: writing the backup*No space left*" "$(cat stderr.txt)"
if command -v script > /dev/null; then
	script -qec "'$DURAMEN' backup backed/up" typescript > /dev/null < /dev/null
	is "no backup to a terminal" 2 $?
fi
before=$("$DURAMEN" dump backed/up)
log=$("$DURAMEN" log backed/up | cut -c 1-50)
hold read backed/up
no "compact while another has it" 3 "prefix backed/up cannot be compacted*$held*" compact backed/up
release read
ok "compact" "" compact backed/up
is "compacted, with all states" "$log" "$("$DURAMEN" log backed/up | cut -c 1-50)"
ok "compact to the newest" "" compact backed/up --newest
is "compacted" "$before" "$("$DURAMEN" dump backed/up)"
is "one state is left" 1 "$("$DURAMEN" log backed/up | wc -l)"
ok "put after it" "" put backed/up /k 6
ok "check after it" "backed/up is sound" check backed/up --history
no "one or the other" 2 "--history and --newest*" compact backed/up --newest --history
DURAMEN_ROOT=made-anew "$DURAMEN" receive p whole
is "receive makes the workspace" 0 $?

# ---- Output that goes wrong ----

"$DURAMEN" dump demo > /dev/full 2> stderr.txt
is "a full disk under the output: status" 3 $?
has "a full disk under the output" "duramen: cannot write the output: No space left*" "$(cat stderr.txt)"
seq 1 20000 | sed 's/.*/{"key":&,"value":&}/' | "$DURAMEN" load files - --batch 20000
"$DURAMEN" scan files 2> stderr.txt | head -n 1 > /dev/null
is "scan | head" "0 " "${PIPESTATUS[0]} $(cat stderr.txt)"

if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
	chmod 755 "$scratch"
	as_other() {
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	}
	if as_other test -x "$DURAMEN"; then
		DURAMEN_ROOT=$scratch/duramen-data as_other "$DURAMEN" put demo /a 1 2> stderr.txt
		is "a folder of another user: status" 3 $?
		has "a folder of another user" "duramen: *" "$(cat stderr.txt)"
		as_other "$DURAMEN" --root "$scratch/new" create x 2> stderr.txt
		is "a folder that cannot be made: status" 3 $?
	fi
fi

# ---- Names and retention ----

run create kept --keep last:2,every:1w
is "create with a policy of parts" 0 "$status"
ok "keep: tells" "last:2,every:1w" keep kept
for i in 1 2 3 4 5; do run put kept /n "$i"; done
ok "name: the newest" "" name kept five
ok "--at a name" 5 get kept /n --at five
ok "name: back" "" name kept four -1
ok "--at the other name" 4 get kept /n --at four
ok "keep: changes" "" keep kept last:1
for i in 6 7 8; do run put kept /n "$i"; done
ok "a named state stays" 4 get kept /n --at four
run names kept
is "names" "five four" "$(echo "$out" | awk '{ print $4 }' | xargs)"
run names kept --json
is "names --json" "five four" "$(echo "$out" | jq -r .name | xargs)"
is "names: each holds some pages" "true true" "$(echo "$out" | jq '.held_bytes >= 4096' | xargs)"
names=$(echo "$out" | jq -c '{name,state,held_bytes}' | xargs)
run stat kept --json
is "stat: as names" "$names" "$(echo "$out" | jq -c '.held[]' | xargs)"
run stat kept
has "stat: a name" '*held back *by name, state *: five*' "$out"
run log kept
is "log: names" "[five] [four]" "$(echo "$out" | awk '$6 { print $6 }' | xargs)"
run log kept --json
is "log --json: names" "0 1 1" "$(echo "$out" | jq -r '.names | length' | xargs)"
ok "name: moves" "" name kept four
ok "--at the name that moved" 8 get kept /n --at four
ok "unname" "" unname kept five
no "unname, again" 1 "there is no name five *duramen names*" unname kept five
no "--at a name that is gone" 1 "there is no state five *" get kept /n --at five
no "a name like a number" 2 "*begins with 1*" name kept 1x
no "name: a state that is gone" 1 "*" name kept again 2
no "keep: no policy" 2 "*a span is a number*" keep kept for:ever
ok "check: names and retention" "kept is sound" check kept --history

# A commit that gives a name holds no change; what wait tells of then is good for whatever takes a state.
run create told
run put told /n 1
newest=$("$DURAMEN" wait told --after 0)
ok "name: makes a state" "" name told one
told=$("$DURAMEN" wait told --after "$newest")
run wait told --after "$told" --timeout 10
is "and one alone" 1 "$status"
for i in 2 3; do run put told /n "$i"; done
ok "--at what wait told" 1 get told /n --at "$told"
ok "backup --since it" "" backup told since.dur --since "$told"
is "diff from it" "1 3" "$("$DURAMEN" diff told "$told" latest | jq -r '"\(.old) \(.now)"')"
is "watch --after it" "2 3" "$("$DURAMEN" watch told /n --after "$told" --count 2 | jq .now | xargs)"
ok "name it" "" name told two "$told"
ok "it is the one before" 1 get told /n --at two
no "a number to come" 1 "there is no state 1000*" get told /n --at 1000

# ---- The manual page ----

page=$SRC/tools/duramen.1
is "the manual page has no warnings" "" "$(groff -mandoc -Tutf8 -ww "$page" 2>&1 > /dev/null)"
if command -v man > /dev/null; then
	is "nor for man" "" "$(man --warnings -l -Tutf8 "$page" 2>&1 > /dev/null)"
fi
text=$(groff -mandoc -Tascii -P-cbou "$page" | tr -s ' \n' ' ')
for c in $commands; do
	has "it has $c" "* $c *" "$text"
	for option in $("$DURAMEN" "$c" --help | grep -o '^  --[a-z-]*'); do
		# The synopsis of the command, up to the full stop of its first sentence.
		entry=$(sed -n "/^\.It Cm $c\( \|$\)/,/^\.It Cm /p" "$page" | sed 's/Fl -/--/g')
		case $option in
		--root | --help) ;;
		*) has "it has $c $option" "*${option}*" "$entry" ;;
		esac
	done
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
