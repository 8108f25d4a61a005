#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Documents with the duramen command: put, get, load and dump of values of any depth, and tree.
. "${SRC:-$PWD}/tests/command_kit.sh"
export LC_ALL=C.UTF-8 # in which printf writes \u

# ---- Documents ----

ok "create docs" "" create docs
doc='{"":{},"K":{"~K":[["a",1],[{"~x":"ff"},null]]},"S":{"~S":["p","q"]},"deep":{"er":{"and":{"er":1.5}}},"é":"☃","k":{"~k":[["x",0],[{"~p":[1,"a"]},{"z":true}],[2,9223372036854775807]]},"s":{"~s":["z",1,{"~d":"inf"}]},"t":{"~k":[["~x","00"]]},"tag":{"~g":[7,"a"]},"~a":1,"~b":2}'
stored='{"":{},"K":{"~K":[["a",1],[{"~x":"ff"},null]]},"S":{"~S":["p","q"]},"deep":{"er":{"and":{"er":1.5}}},"k":{"~k":[["x",0],[{"~p":[1,"a"]},{"z":true}],[2,9223372036854775807]]},"s":{"~s":["z",1,{"~d":"inf"}]},"t":{"~k":[["~x","00"]]},"tag":{"~g":[7,"a"]},"~a":1,"~b":2,"é":"☃"}'
ok "put a document" "" put docs /doc "$doc"
ok "get it, its keys in order" "$stored" get docs /doc
ok "get what is in it" '{"and":{"er":1.5}}' get docs /doc/deep/er
ok "get what is deep in it" 1.5 get docs /doc/deep/er/and/er
ok "get by a typed key" '{"z":true}' get docs "/doc/k/~p~i1,a"
ok "get an empty one" '{}' get docs /doc/
ok "get the prefix" "{\"doc\":$stored}" get docs ""
ok "put into it" "" put docs /doc/deep/er/new '{"~s":[]}'
ok "get it again" '{"and":{"er":1.5},"new":{"~s":[]}}' get docs /doc/deep/er
ok "it was not there before" '{"and":{"er":1.5}}' get docs /doc/deep/er --at -1
ok "del in it" "" del docs /doc/deep/er/and
ok "get what is left" '{"new":{"~s":[]}}' get docs /doc/deep/er
no "put below nothing" 3 "there is nothing at /nowhere: --parents makes it a map*" put docs /nowhere/else 1
no "put far below nothing" 3 "there is nothing at /doc/x: --parents*" put docs /doc/x/y/z 1
no "put below a scalar" 3 "/doc/tag is a single value*" put docs /doc/tag/else 1
no "put far below a scalar" 3 "/doc/tag is a single value*" put docs /doc/tag/or/else 1 --parents
no "put, a bad step below nothing" 2 "path, byte 9: *" put docs /nowhere/~z 1
ok "scan below a path" '{"key":"x","value":0}
{"key":{"~p":[1,"a"]},"value":{"z":true}}
{"key":2,"value":9223372036854775807}' scan docs /doc/k
ok "scan keys that are bytes" '{"key":"a","value":1}
{"key":{"~x":"ff"},"value":null}' scan docs /doc/K
ok "scan --count" 3 scan docs /doc/k --count
echo "$doc" > doc.json
stdin=doc.json ok "put a document from stdin" "" put docs /copy -
for format in ndjson tsv json; do
	"$DURAMEN" dump docs --format $format > "docs.$format"
	ok "create docs-$format" "" create "docs-$format"
	ok "load documents, $format" "" load "docs-$format" --format $format "docs.$format"
	is "documents round-trip as $format" "$("$DURAMEN" get docs "")" "$("$DURAMEN" get "docs-$format" "")"
done
"$DURAMEN" dump docs /doc > below.ndjson
ok "create below" "" create below
ok "load what was dumped below a path" "" load below below.ndjson
is "it is the same" "$("$DURAMEN" get docs /doc)" "$("$DURAMEN" get below "")"

# ---- Into what is there, and what is not ----

ok "create into" "" create into
ok "put --parents" "" put into /config/net/port 80 --parents
ok "put -p, where they are" "" put into /config/net/host '"a"' -p
ok "they were made" '{"config":{"net":{"host":"a","port":80}}}' get into ""
ok "put a list" "" put into /list '[1]'
ok "put --parents behind its last" "" put into /list/-/name '"b"' --parents
ok "a map was put there" '[1,{"name":"b"}]' get into /list
no "put --parents beyond it" 3 "position 7 is beyond the list's 2 items" put into /list/7/name 1 --parents
no "put beyond it" 3 "position 7 is beyond the list's 2 items" put into /list/7 1
no "put at no position" 2 '"x" is no position*' put into /list/x 1
ok "put a set" "" put into /set '{"~s":[1]}'
ok "put a member" "" put into /set/b
ok "put a member with itself as its value" "" put into /set/~i5 5
ok "they are there" '{"~s":["b",1,5]}' get into /set
no "put a member with a value" 3 "a set's members have no values*" put into /set/c 1
ok "it is not there" '{"~s":["b",1,5]}' get into /set
no "put without VALUE into a map" 2 "put: VALUE is missing*" put into /config/x
no "put into a rope that is none" 3 "there is nothing at /log: *" put into /log/- '"x"'
ok "put a rope" "" put into /log '{"~l":["one\n"]}'
echo two > two.txt
stdin=two.txt ok "append to a rope" "" put into /log/- - --raw
ok "append a string" "" put into /log/- '"three\n"'
ok "all of it" "one
two
three" get into /log --raw
ok "scan a rope, as text where it is" '{"key":4,"value":"two\nthree\n"}' scan into /log --from 4
ok "put bytes" "" put into /log/- '{"~x":"ff"}'
ok "scan a rope, as bytes where it is not" '{"key":12,"value":{"~x":"650aff"}}' scan into /log --from 12
ok "put a raw set" "" put into /raws '{"~S":["a",{"~x":"ff"}]}'
ok "scan it" '{"key":"a","value":"a"}
{"key":{"~x":"ff"},"value":{"~x":"ff"}}' scan into /raws
ok "put a member" "" put into /raws/b
for path in /raws /raws/b; do
	has "log of $path" '*"kind":"added","path":"/raws/b","now":{"~x":"62"}}*' "$("$DURAMEN" log into $path --json)"
done
ok "del it" "" del into /raws
no "append a number" 3 "a rope takes strings and bytes" put into /log/- 3
no "put into a rope" 3 "/log/0 leads into a rope*step - *" put into /log/0 '"x"'

whole='{"a":[1,{"b":{}}],"config":{"net":{"host":"a","port":81}}}'
ok "put the whole prefix" "" put into "" "$whole"
ok "it is all that is there" "$whole" get into ""
run diff into -1 latest
is "diff: what was there is gone" '{"kind":"added","path":"/a","now":[1,{"b":{}}]}
{"kind":"changed","path":"/config/net/port","old":80,"now":81}
{"kind":"removed","path":"/list"*
{"kind":"removed","path":"/log"*
{"kind":"removed","path":"/set"*' "$(echo "$out" | sed 's/\("removed","path":"[^"]*"\).*/\1*/')"
no "the whole prefix, no map" 2 "a prefix as a whole is a map*" put into "" '[1]'
no "the whole prefix, another kind of keys" 2 "VALUE is a map with raw keys*" put into "" '{"~K":[["a",1]]}'
ok "create into-raw" "" create into-raw --raw
ok "the whole of a raw prefix" "" put into-raw "" '{"a":1}'
ok "get it" '{"~K":[["a",1]]}' get into-raw ""
ok "put what get gave" "" put into-raw "" '{"~K":[["b",1],[{"~x":"ff"},2]]}'
ok "get that" '{"~K":[["b",1],[{"~x":"ff"},2]]}' get into-raw ""

printf '{"key":"x","value":1}\n{"key":"y","value":{"z":[2]}}\n' > two.ndjson
no "load into what is not there" 3 "there is nothing at /new: --parents*nothing was committed" load into two.ndjson /new/map
ok "load --parents" "" load into two.ndjson /new/map --parents
ok "they are there" '{"map":{"x":1,"y":{"z":[2]}}}' get into /new
ok "load into a map" "" load into two.ndjson /config
ok "what was there stays" '{"net":{"host":"a","port":81},"x":1,"y":{"z":[2]}}' get into /config
no "load into a scalar" 3 "/config/x is a single value*" load into two.ndjson /config/x
no "load into a list" 3 'two.ndjson: line 1, column 1: "x" is no position*' load into two.ndjson /a
for from in '[1,{"a":[]},"x",{"~l":["r"]}]' '{"~s":["b",1,{"~p":[1,2]}]}' '{"~S":["b",{"~x":"ff"}]}' '{"~l":["some text"]}' \
	'{"~K":[["b",1],[{"~x":"ff"},2]]}'; do
	ok "put $from" "" put into /from "$from"
	ok "put an empty one" "" put into /to "$(sed 's/\[.*\]/[]/' <<< "$from")"
	for format in ndjson tsv json; do
		"$DURAMEN" dump into /from --format $format > from.txt
		ok "load it where it is empty, $format" "" load into --format $format --batch 2 from.txt /to
		ok "it is the same, $format" "$from" get into /to
	done
done
printf '{"key":1,"value":2}' > other.ndjson
ok "put a set again" "" put into /to '{"~s":[]}'
no "load members with values" 3 "other.ndjson: line 1, column 1: a set's members have no values*" load into other.ndjson /to
ok "put a rope again" "" put into /to '{"~l":["abc"]}'
no "load no piece" 3 "other.ndjson: line 1, column 1: a rope takes*" load into other.ndjson /to
printf '{"key":4,"value":"x"}' > other.ndjson
no "load beyond the end of a rope" 3 "other.ndjson: line 1, column 1: *" load into other.ndjson /to

ok "put to compare" "" put into "" '{"a":{"b":[1,{"c":2}],"r":{"~l":["abc"]},"s":{"~s":[1]}},"x":1}'
from=$(newest into)
"$DURAMEN" put into /a/b/1/c 3
"$DURAMEN" put into /a/r/- '"d"'
"$DURAMEN" put into /a/s/n
"$DURAMEN" put into /x 1.0
differs() { # PATH EXPECTED
	run diff into "$from" "${to:-latest}" "$1"
	is "diff of $1" "${status_is:-1}|$2|" "$status|$out|$err"
}
deep='{"kind":"changed","path":"/a/b/1/c","old":2,"now":3}'
for path in /a/b /a/b/1 /a/b/1/c; do
	differs $path "$deep"
done
differs /a/r '{"kind":"changed","path":"/a/r","old":{"~l":["abc"]},"now":{"~l":["abcd"]}}'
for path in /a/s /a/s/n; do
	differs $path '{"kind":"added","path":"/a/s/n","now":"n"}'
	has "log of $path" '*"kind":"added","path":"/a/s/n","now":"n"}*' "$("$DURAMEN" log into $path --json)"
done
differs /x '{"kind":"changed","path":"/x","old":1,"now":1.0}'
for path in /a/b/0 /a/b/1/d /a/s/~i1 /nowhere /nowhere/else; do
	status_is=0 differs $path ""
done
to=$from status_is=0 differs /a/r ""
no "diff of no position" 2 '"x" is no position*' diff into "$from" latest /a/b/x
"$DURAMEN" put into /a/b '{"x":1}'
differs /a/b '{"kind":"changed","path":"/a/b","old":[1,{"c":2}],"now":{"x":1}}'
differs /a/b/x '{"kind":"added","path":"/a/b/x","now":1}'
differs /a/b/1 '{"kind":"removed","path":"/a/b/1","old":{"c":2}}'
is "log of a key where a list was" "+ /a/b/x 1" "$("$DURAMEN" log into /a/b/x | awk '{ print $3, $4, $5 }')"
no "log of no position" 1 "nothing has changed there*" log into /a/r/x
no "log of a range that is none" 3 "a range of keys is for maps and sets*" log into /a/r --from x
no "a decimal that is none" 2 "not a decimal*" put into /x '{"~m":"1e5"}'
no "an integer that is none" 2 "not an integer*" put into /x '{"~i":"01"}'
ok "check into" "into is sound" check into

# ---- Ropes ----

rope='{"r":{"~l":["some text"]},"s":[{"~l":[]}],"x":{"~l":[{"~x":"ff00"}]}}'
ok "put ropes" "" put docs /ropes "$rope"
ok "get them" "$rope" get docs /ropes
ok "put one in pieces" "" put docs /ropes/r '{"~l":["some"," ",{"~x":"74657874"}]}'
ok "it is one piece" "$rope" get docs /ropes
ok "get --raw" "some text" get docs /ropes/r --raw
head -c 100000 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > rope.hex
printf '{"~l":["~",{"~x":"%s"}]}' "$(cat rope.hex)" > rope.json
stdin=rope.json ok "put a long one" "" put docs /ropes/long -
is "get --raw of a long one" "7e$(cat rope.hex)" "$("$DURAMEN" get docs /ropes/long --raw | od -An -v -tx1 | tr -d ' \n')"
"$DURAMEN" dump docs /ropes > ropes.ndjson
ok "create ropes" "" create ropes
ok "load ropes" "" load ropes ropes.ndjson
is "ropes round-trip" "$("$DURAMEN" get docs /ropes)" "$("$DURAMEN" get ropes "")"
ok "tree of ropes" "ropes: map, 4 entries, 97.7 KiB
├─ long: rope, 97.7 KiB
├─ r: rope, 9 B
├─ s: list, 1 entry, 0 B
└─ x: rope, 2 B" tree ropes --depth 1
no "a rope of numbers" 2 "*~l takes an array of strings and bytes*" put docs /ropes/r '{"~l":[1]}'
ok "del ropes" "" del docs /ropes
raw() { # what a rope is
	"$DURAMEN" get "$@" --raw | cksum
}
long=$(raw ropes /long)
ok "put a short one in its place" "" put ropes /long '{"~l":["short"]}'
ok "put another one" "" put ropes /r '{"~l":["other"]}'
is "diff of ropes" '{"kind":"changed","path":"/r","old":{"~l":["some text"]},"now":{"~l":["other"]}}' \
	"$("$DURAMEN" diff ropes -1)"
has "log of a rope" '*~ /r  {"~l":\["some text"\]} -> {"~l":\["other"\]}*' "$("$DURAMEN" log ropes /r)"
"$DURAMEN" pack ropes > pack.out
is "pack ropes" 0 $?
is "a long one in an old state" "$long" "$(raw ropes /long --at -2)"
"$DURAMEN" restore ropes -2 > restore.out
is "a long one restored" "$long" "$(raw ropes /long)"
"$DURAMEN" backup ropes > ropes.dur
"$DURAMEN" receive ropes-copy < ropes.dur > receive.out
is "a long one in a copy" "$long" "$(raw ropes-copy /long)"
"$DURAMEN" compact ropes > compact.out
is "a long one in a file written afresh" "$long" "$(raw ropes /long)"
ok "check ropes" "ropes is sound" check ropes
ok "check the copy of ropes" "ropes-copy is sound" check ropes-copy

# ---- Lists ----

list='[1,[2,[],["é",{"a":[]}]],{"b":[null,{"~s":[1]}]},{"~k":[[1,[true]]]}]'
ok "put a list" "" put docs /list "$list"
ok "get it" "$list" get docs /list
ok "get from the front" '[2,[],["é",{"a":[]}]]' get docs /list/1
ok "get deep in it" '{"a":[]}' get docs /list/1/2/1
ok "append" "" put docs /list/- '"last"'
ok "it is the last" '"last"' get docs /list/4
ok "set" "" put docs /list/1/0 '[]'
ok "get what was set" '[[],[],["é",{"a":[]}]]' get docs /list/1
ok "del of a list" "" del docs /list/0
ok "get what is left of it" '[[[],[],["é",{"a":[]}]],{"b":[null,{"~s":[1]}]},{"~k":[[1,[true]]]},"last"]' get docs /list
ok "it was as it was" "$list" get docs /list --at -3
run get docs /list/9
is "get behind the last" 1 "$status"
ok "scan of a list" '{"key":0,"value":"é"}
{"key":1,"value":{"a":[]}}' scan docs /list/0/2
ok "tree of a list" "/list: list, 4 entries, 26 B
├─ 0: list, 3 entries, 3 B
│  ├─ 0: list, 0 entries, 0 B
│  ├─ 1: list, 0 entries, 0 B
│  └─ 2: list, 2 entries, 3 B
│     ├─ 0: \"é\"
│     └─ 1: map, 1 entry, 1 B
│        └─ a: list, 0 entries, 0 B
├─ 1: map, 1 entry, 10 B
│  └─ b: list, 2 entries, 9 B
│     ├─ 0: null
│     └─ 1: set, 1 entry, 8 B
│        └─ 1
├─ 2: map, 1 entry, 9 B
│  └─ 1: list, 1 entry, 1 B
│     └─ 0: true
└─ 3: \"last\"" tree docs /list
seq -s , 1 100000 | sed 's/.*/[&]/' > numbers.json
stdin=numbers.json ok "put 100,000 numbers" "" put docs /numbers -
"$DURAMEN" get docs /numbers > numbers.out
is "get 100,000 numbers" "" "$(cmp numbers.json numbers.out 2>&1)"
ok "get one of them" 77778 get docs /numbers/77777

# ---- The package index of this machine ----

packages() { # records of fields as entries of nested lists and maps
	awk 'function text(s) {
		gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/\t/, "\\t", s)
		return "\"" s "\""
	}
	function relations(s,   i, j, n, m, all, one, out) { # "a (>= 1) | b, c": [["a (>= 1)","b"],["c"]]
		n = split(s, all, / *, */)
		out = "["
		for (i = 1; i <= n; i++) {
			m = split(all[i], one, / *\| */)
			out = out (i > 1 ? ",[" : "[")
			for (j = 1; j <= m; j++)
				out = out (j > 1 ? "," : "") text(one[j])
			out = out "]"
		}
		return out "]"
	}
	BEGIN { RS = ""; FS = "\n" }
	{
		fields = ""; more = 0
		for (i = 1; i <= NF; i++) {
			if ($i ~ /^[ \t]/) {
				fields = fields (more ? "," : ",\"" name " lines\":[") text(substr($i, 2))
				more = 1
				continue
			}
			if (more)
				fields = fields "]"
			more = 0
			colon = index($i, ":")
			name = substr($i, 1, colon - 1); value = substr($i, colon + 1)
			sub(/^ /, "", value)
			if (name == "Package") id = value
			if (name == "Version") version = value
			if (name ~ /^(Size|Installed-Size)$/) value = value + 0
			else if (name ~ /^(Pre-)?Depends$|^Recommends$|^Suggests$/) value = relations(value)
			else value = text(value)
			fields = fields (fields == "" ? "" : ",") "\"" name "\":" value
		}
		if (more)
			fields = fields "]"
		print "{\"key\":" text(id "=" version "#" NR) ",\"value\":{" fields "}}"
	}'
}
# The index that apt has downloaded, of which a quick run takes a part; else what is installed.
[ "${DURAMEN_SLOW:-}" = 1 ] && most=1000000 || most=4000
apt-cache dumpavail 2> /dev/null | awk -v RS= -v ORS='\n\n' -v most="$most" 'NR <= most' > index.txt
if [ ! -s index.txt ] && [ -e /var/lib/dpkg/status ]; then
	echo "there are no lists of apt: the packages are those that are installed"
	cat /var/lib/dpkg/status > index.txt
fi
if [ -s index.txt ]; then
	packages < index.txt > packages.ndjson
	ok "create packages" "" create packages
	ok "load packages" "" load packages packages.ndjson
	"$DURAMEN" dump packages > packages.out
	jq -cS . packages.ndjson | LC_ALL=C sort > given.txt
	jq -cS . packages.out | LC_ALL=C sort > stored.txt
	is "packages: as many as there are" "$(grep -c . packages.ndjson)" "$("$DURAMEN" scan packages --count)"
	is "packages: they come back as they were" "" "$(cmp given.txt stored.txt 2>&1)"
	ok "create packages-json" "" create packages-json
	"$DURAMEN" get packages "" > packages.json
	ok "load all of them as one document" "" load packages-json --format json packages.json
	"$DURAMEN" dump packages-json | cmp -s packages.out -
	is "packages: the same again" 0 $?
	ok "check packages" "packages is sound" check packages
else
	echo "skipped: the package index (neither lists of apt nor /var/lib/dpkg/status)"
fi

# ---- Unicode ----

ok "create unicode" "" create unicode
# Keys in the order of their code points, which is that of their UTF-8: NUL, a control character, DEL,
# composed and decomposed e, right to left, beyond 16 bits after the last of 16, what is no character.
text='{"":0,"\u0000":1,"\u0000\u0000":2,"\n\t":3,"\u001f":4,"/~":5,"e\u0301":6,"\u007f":7,"\u00e9":8,"\u05d0\u202e":9,"\u2028":10,"\ud7ff":11,"\ue000":12,"\ufeff":13,"\uffff":14,"\ud800\udc00":15,"\ud83d\udc69\u200d\ud83d\udcbb":16,"\udbff\udfff":17}'
ok "put text of all sorts" "" put unicode /keys "$text"
is "keys: as many as were given" 18 "$("$DURAMEN" scan unicode /keys --count)"
is "keys: each has the value it was given" "$(jq -cS . <<< "$text")" "$("$DURAMEN" get unicode /keys | jq -cS .)"
is "keys: in the order of code points" "$(seq -s ' ' 0 17)" "$("$DURAMEN" get unicode /keys | jq -r 'to_entries[].value' | xargs)"
"$DURAMEN" get unicode /keys > keys.json
stdin=keys.json ok "put what get gave" "" put unicode /again -
ok "get that again" "$(cat keys.json)" get unicode /again
sed 's/\("[^"]*"\):[0-9]*/\1/g; s/{/[/; s/}/]/' keys.json > values.json
stdin=values.json ok "the same as values" "" put unicode /values -
ok "get them" "$(cat values.json)" get unicode /values
for format in ndjson tsv json; do
	"$DURAMEN" dump unicode --format $format > "unicode.$format"
	ok "create unicode-$format" "" create "unicode-$format"
	ok "load text, $format" "" load "unicode-$format" --format $format "unicode.$format"
	is "text round-trips as $format" "$("$DURAMEN" get unicode "")" "$("$DURAMEN" get "unicode-$format" "")"
done
while read -r step value; do
	ok "get /keys/$step" "$value" get unicode "/keys/$step"
done <<END
~200 1
~20a~209 3
~1~0 5
$(printf 'e\u0301') 6
$(printf '\u00e9') 8
$(printf '\uffff') 14
$(printf '\U10ffff') 17
END
for path in /~200 /~20a~209 "/$(printf 'e\u0301')"; do
	"$DURAMEN" put unicode "/keys$path" null
	run log unicode "/keys$path" --limit 1 --json
	is "the path of a change is one to use: $path" null "$("$DURAMEN" get unicode "$(jq -r .path <<< "$out")")"
done

# ---- Deep, large, wrong ----

awk 'BEGIN { for (i = 0; i < 5000; i++) printf "{\"a\":["; printf "1"; for (i = 0; i < 5000; i++) printf "]}"; print "" }' > deep.json
stdin=deep.json ok "put 10,000 levels" "" put docs /deep -
"$DURAMEN" get docs /deep > deep.out
is "get 10,000 levels" "" "$(cmp deep.json deep.out 2>&1)"
deep=/deep$(printf '/a/0%.0s' {1..5000})
ok "get at the end of 10,000 steps" 1 get docs "$deep"
ok "put there" "" put docs "$deep" 2
run diff docs -1
is "diff, of 10,000 steps" "{\"kind\":\"changed\",\"path\":\"$deep\",\"old\":1,\"now\":2}" "$out"
is "log, of 10,000 steps" 2 "$("$DURAMEN" log docs "$deep" | wc -l)"
for format in ndjson tsv json; do
	"$DURAMEN" dump docs /deep --format $format | "$DURAMEN" load docs --format $format - /deep-$format --parents
	is "load 10,000 levels below a path, $format" "$("$DURAMEN" get docs /deep)" "$("$DURAMEN" get docs /deep-$format)"
done
ok "del at the end of 10,000 steps" "" del docs "$deep"
ok "an empty list is left" "[]" get docs "${deep%/0}"
ok "put it there again" "" put docs "$deep" 1
head -c 100001 /dev/zero | tr '\0' '[' > deeper.json
stdin=deeper.json no "put 100,001 levels" 2 "VALUE is not JSON, at byte 100001: nested deeper*" put docs /deeper -
printf '{"a":1,\n"é":[1,\n2,x]}' > wrong.json
stdin=wrong.json no "put, wrong on a later line" 2 "VALUE is not JSON, at line 3, column 3: *" put docs /wrong -
# More than is kept in memory while reading: stored as it comes, in the same commit.
big() { # KEY FIRST?
	awk -v first="$1" 'BEGIN {
		printf "{\"key\":\"small\",\"value\":1}\n{" (first ? "\"key\":\"big\"," : "") "\"value\":{"
		for (i = 0; i < 150000; i++)
			printf "%s\"k%06d\":{\"n\":%d,\"t\":\"%s\"}", i ? "," : "", i, i, "some text"
		print "}" (first ? "" : ",\"key\":\"big\"") "}\n{\"key\":\"after\",\"value\":2}"
	}'
}
big 1 > big.ndjson
before=$(newest docs)
ok "load an entry larger than memory" "" load docs big.ndjson
is "load: it ends its commit" $((before + 2)) "$(newest docs)"
"$DURAMEN" dump docs | sed -n '/"key":"big"/p' > big.out
is "it is as it was" "" "$(sed -n 2p big.ndjson | cmp - big.out 2>&1)"
ok "the one after it is there" 2 get docs /after
before=$(newest docs)
ok "load it behind batches that are not put yet" "" load docs big.ndjson --batch 1
is "each is a commit" $((before + 3)) "$(newest docs)"
sed -n 2p big.ndjson | sed 's/.*"value"://; s/,*"key".*//; s/}}$/}/' > whole.json
ok "create whole" "" create whole
ok "put what goes" "" put whole /goes 1
stdin=whole.json ok "put a whole prefix larger than memory" "" put whole "" -
"$DURAMEN" get whole "" > whole.out
is "it is as it was given" "" "$(cmp whole.json whole.out 2>&1)"
(printf '['; cat whole.json; printf ']') > list.json
stdin=list.json no "put a large list as the whole prefix" 2 "VALUE is not one that can be stored: a prefix as a whole is a map" put whole "" -
ok "load below a path an entry larger than memory" "" load whole big.ndjson /in/here --parents
is "it is there" 150000 "$("$DURAMEN" scan whole /in/here/big --count)"
ok "put an empty set" "" put whole /set '{"~s":[]}'
sed -n 2p big.ndjson > alone.ndjson
no "load a large value into a set" 3 "alone.ndjson: line *a set or a rope takes no*nothing was committed" load whole alone.ndjson /set
big '' > big.ndjson
no "load one whose key comes too late" 3 "big.ndjson: line 2, column 1: the key of an entry*nothing was committed" \
	load docs big.ndjson
sed -n 2p big.ndjson | sed 's/.*"value"://; s/,"key".*//; s/"k149999"/"k000007"/' > twice.json
stdin=twice.json no "put a large document with a name twice" 2 'VALUE is not JSON, at *duplicate name "k000007"' put docs /twice -
run get docs /twice
is "it is not there" 1 "$status"
ok "check docs" "docs is sound" check docs

# ---- tree ----

ok "create trees" "" create trees
ok "put a tree" "" put trees /users '{"alice":{"age":25,"langs":{"~s":["c","sh"]},"name":"Alice"},"bob":{"age":31}}'
ok "put another" "" put trees /text "\"$(printf 'é%.0s' {1..200})\""
ok "put an empty one" "" put trees /empty '{"~S":[]}'
ok "tree" "trees: map, 3 entries, 461 B
├─ empty: raw set, 0 entries, 0 B
├─ text: \"$(printf 'é%.0s' {1..200})\"
└─ users: map, 2 entries, 47 B
   ├─ alice: map, 3 entries, 28 B
   │  ├─ age: 25
   │  ├─ langs: set, 2 entries, 3 B
   │  │  ├─ c
   │  │  └─ sh
   │  └─ name: \"Alice\"
   └─ bob: map, 1 entry, 11 B
      └─ age: 31" tree trees
is "tree: cut to the width" "├─ text: \"$(printf 'é%.0s' {1..29})…" \
	"$(COLUMNS=40 "$DURAMEN" tree trees --depth 1 | sed -n 3p)"
ok "put keys and values of two columns a character, or none" "" put trees /wide \
	"{\"\":0,\"日本\":\"日本語の値は幅が二倍で長い長い長い\",\"x\":\"$(printf 'e\\u0301%.0s' {1..40})\"}"
is "tree: cut by columns" "/wide: map, 3 entries, 186 B
├─ \"\": 0
├─ x: \"$(printf 'e\u0301%.0s' {1..32})…
└─ 日本: \"日本語の値は幅が二倍で長い長…" "$(COLUMNS=40 "$DURAMEN" tree trees /wide)"
ok "del it" "" del trees /wide
ok "tree --limit below a path" "/users: map, 2 entries, 47 B
├─ alice: map, 3 entries, 28 B
│  ├─ age: 25
│  └─ 2 more
└─ 1 more" tree trees /users --limit 1
ok "tree --at" "trees: map, 0 entries, 0 B" tree trees --at 1
no "tree of a scalar" 3 "/text is a single value*" tree trees /text
no "tree of nothing" 1 "there is nothing at /x*" tree trees /x
"$DURAMEN" tree docs /deep --limit 1 > deep.tree
is "tree of 10,000 levels" 10001 "$(wc -l < deep.tree)"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
