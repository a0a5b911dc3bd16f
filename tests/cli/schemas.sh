#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every dump of every test image satisfies its schema.
set -u
tools=${1:-${tools:-../tools}}
tools=$(cd "$tools" && pwd)
here=$(cd "$(dirname -- "$0")" && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
passed=0 failed=0 skipped=0
if ! command -v xmllint >/dev/null; then
	echo "SKIP schemas: needs xmllint, of the package libxml2-utils"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi
for f in "$here"/../images/sample/*.img.xz "$here"/../images/pools/*.img.xz; do
	[ -f "$f" ] || continue
	xz -dc "$f" >"$w/m.img"
	n=$(basename "$f" .img.xz)
	for type in thin cache era clone; do
		# the dump of another type says no, and writes nothing
		"$tools/${type}_dump" "$w/m.img" >"$w/x.xml" 2>/dev/null || continue
		if xmllint --noout --relaxng "$here/../../xml-schemas/$type.rng" "$w/x.xml" 2>"$w/err"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			echo "FAIL $n: $(head -n 2 "$w/err")"
		fi
	done
done
[ $passed -ge 5 ] || { echo "FAIL only $passed images could be dumped"; failed=$((failed + 1)); }
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
