#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What can be linked to: the list kept here, what the public headers declare and what the shared library exports.
set -u
here=$(cd "$(dirname -- "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
export LC_ALL=C
passed=0 failed=0 skipped=0

# same WHAT FILE HINT
same()
{
	if diff "$here/exports" "$2" >"$w/diff"; then
		passed=$((passed + 1))
	else
		echo "FAIL $1 (<: listed in tests/lib/exports, >: there). $3"
		cat "$w/diff"
		failed=$((failed + 1))
	fi
}

# Declarations as the compiler sees them: the headers' own text, each in one line, without bodies.
for h in "$top"/lib/include/pdata/*.h; do echo "#include <pdata/$(basename -- "$h")>"; done >"$w/all.c"
# shellcheck disable=SC2086
${CC:-cc} -std=c17 -E -I "$top/lib/include" "$w/all.c" |
	awk '/^# [0-9]+ "/ { ours = index($3, "/pdata/") > 0; next } ours' | tr '\n' ' ' |
	sed 's/extern "C" *{//g' | perl -pe '1 while s/\{[^{}]*\}/;/g' | tr ';' '\n' |
	grep -vE '^ *(static|typedef)|^ *(struct|enum) [a-z_]+ *$' |
	sed -nE 's/^[^(]*[ *](pd_[a-z0-9_]+) ?\(.*/\1/p' | sort -u >"$w/declared"
same "declared functions" "$w/declared" "A new function needs a line there; none may go within 1.x."

lib=$(find "${tools:-$top/tools}/../lib" -name 'libpdata.so.*.*' 2>/dev/null | head -n 1)
if [ -z "$lib" ]; then
	echo "SKIP exported symbols: no shared library was built"
	skipped=1
else
	nm -D --defined-only "$lib" | awk '$2 !~ /[aA]/ { print $3 }' | sort -u >"$w/exported"
	same "exported symbols" "$w/exported" "lib/Makefile.am takes them from the headers."
	name=$(objdump -p "$lib" | awk '$1 == "SONAME" { print $2 }')
	if [ "$name" = libpdata.so.1 ]; then passed=$((passed + 1)); else
		echo "FAIL soname: $name"; failed=$((failed + 1)); fi
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
