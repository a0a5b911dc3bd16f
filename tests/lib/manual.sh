#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The programs in libpdata(3): taken out of its text, compiled against the public headers alone, linked, run on fresh
# metadata or on what the one before left; then our checks look at it.
set -u
top=$(cd "$(dirname -- "$0")/../.." && pwd)
build=$(cd "${tools:?}/.." && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
passed=0 failed=0

awk -v w="$w" '
	/^\.nf/ { text = ""; on = 1; next }
	/^\.fi/ { if (text ~ /int main\(/) { f = sprintf("%s/%02d.c", w, ++n); printf "%s", text >f; close(f) } on = 0; next }
	on { gsub(/\\-/, "-"); gsub(/\\e/, "\\"); text = text $0 "\n" }
' "$top/man/libpdata.3.in"

# must WHAT COMMAND...
must()
{
	local what=$1
	shift
	if "$@" >"$w/log" 2>&1; then passed=$((passed + 1)); return 0; fi
	echo "FAIL $what"
	cat "$w/log"
	failed=$((failed + 1))
	return 1
}

# build_one FILE.c
build_one()
{
	# shellcheck disable=SC2086
	"$build/libtool" --silent --tag=CC --mode=compile ${CC:-cc} ${CFLAGS-} -Werror -I "$top/lib/include" -c "$1" -o "${1%.c}.lo" &&
	"$build/libtool" --silent --tag=CC --mode=link ${CC:-cc} ${CFLAGS-} ${LDFLAGS-} "${1%.c}.lo" \
		"$build/lib/libpdata.la" -o "${1%.c}"
}

for c in "$w"/[0-9]*.c; do
	n=$(basename -- "$c" .c)
	# what it makes, it says in the comment above main
	makes=$(sed -nE 's|^/\* Makes a ([a-z]+).*|\1|p' "$c")
	[ -z "$makes" ] || { rm -f "$w/disk"; truncate -s 8M "$w/disk"; }
	must "example $n does not compile" build_one "$c" || continue
	must "example $n fails" "${c%.c}" "$w/disk" || continue
	case $makes in
	pool)	must "example $n: thin_check" "$tools/thin_check" "$w/disk" ;;
	?*)	must "example $n: ${makes}_check" "$tools/${makes}_check" "$w/disk" ;;
	esac
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ] && [ $passed -ge 15 ]
