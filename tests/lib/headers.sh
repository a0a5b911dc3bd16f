#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each public header compiles alone, as strict C17 and as C++, without a warning.
set -u
top=$(cd "$(dirname -- "$0")/../.." && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
passed=0 failed=0 skipped=0

# one LANGUAGE NAME COMPILER...
one()
{
	local lang=$1 name=$2
	shift 2
	if "$@" -x "$lang" -Wall -Wextra -Werror -pedantic -fsyntax-only -I "$top/lib/include" "$w/one" >"$w/log" 2>&1; then
		passed=$((passed + 1))
	else
		echo "FAIL $name as $lang"
		cat "$w/log"
		failed=$((failed + 1))
	fi
}

cxx=${CXX:-c++}
command -v "${cxx%% *}" >/dev/null || { cxx=; echo "SKIP C++: there is no compiler (Debian: g++)"; skipped=1; }
for h in "$top"/lib/include/pdata/*.h; do
	name=pdata/$(basename -- "$h")
	# twice: it must guard against that
	printf '#include <%s>\n' "$name" "$name" >"$w/one"
	# shellcheck disable=SC2086
	one c "$name" ${CC:-cc} -std=c17
	# shellcheck disable=SC2086
	[ -z "$cxx" ] || one c++ "$name" $cxx -std=c++11
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed -gt 0 ]
