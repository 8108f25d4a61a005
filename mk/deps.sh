#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh GROUP...: installs the Debian packages that a group (build, test, bench, ci) needs and that are
# missing. Where nothing is missing it asks dpkg once and is done.
set -eu
cd "$(dirname "$0")/.."

packages=
for group in "$@"; do
	case $group in
	build) packages="$packages gcc libc6-dev make binutils pkg-config liburing-dev libxxhash-dev liblz4-dev" ;;
	test)  packages="$packages check strace valgrind groff-base jq liblmdb-dev libjansson-dev" ;;
	bench) packages="$packages $(sed 's/#.*//' bench/packages)" ;;
	ci)    packages="$packages g++ clang" ;;
	*)     echo "mk/deps.sh: unknown group $group" >&2; exit 2 ;;
	esac
done

if ! command -v dpkg-query >/dev/null; then
	# Not Debian. Whoever builds here installs by hand; say what, if the headers are not there.
	printf '#include <liburing.h>\n#include <xxhash.h>\n#include <lz4.h>\n' |
		${CC:-cc} -E -x c - >/dev/null 2>&1 && exit 0
	echo "This needs what Debian calls:" $packages >&2
	echo "There is no apt-get on this machine: please install them with its own package manager." >&2
	exit 1
fi

installed=$(dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' $packages 2>/dev/null |
	sed -n 's/ ii *$//p') || true
missing=
for package in $packages; do
	case " $(echo $installed) " in
	*" $package "*) ;;
	*)
		# A compiler or tool that came from elsewhere will do.
		case $package in
		gcc | g++ | clang | make | pkg-config | strace | valgrind)
			command -v "$package" >/dev/null && continue ;;
		esac
		missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "Missing packages:$missing" >&2
	echo "There is no apt-get on this machine: please install them with its own package manager." >&2
	exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "Missing packages. As root, run: apt-get install$missing" >&2
		exit 1
	fi
	as_root=sudo
fi

echo "Installing:$missing"
install() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y \
		"$@" install --no-install-recommends $missing
}
update() {
	$as_root apt-get -o DPkg::Lock::Timeout=600 -qq update
}
# The package lists are absent on a fresh machine, and old ones name files that are gone.
install -s >/dev/null 2>&1 || update
install || { update && install; } || {
	echo "apt-get could not install:$missing. Its messages above say why." >&2
	exit 1
}
