# SPDX-License-Identifier: GPL-2.0-or-later
# What the suites here share: sourced, not run. The tools' folder is $1, or $tools.
# A suite ends with `finish`.
set -u
tools=${1:-${tools:-../tools}}
tools=$(cd "$tools" && pwd)
here=$(cd "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
cd "$w" || exit 1
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); }
no() { failed=$((failed + 1)); echo "FAIL $*"; }

# is STATUS WHAT COMMAND...: runs it; out and err are left in files. Neither 2 (lvm2 takes that for a
# tool that is not installed) nor a signal is ever right.
is()
{
	local want=$1 what=$2 r
	shift 2
	if [ "$1" = as_user ]; then
		shift
		as_user timeout 60 "$@" >out 2>err </dev/null
	else
		timeout 60 "$@" >out 2>err </dev/null
	fi
	r=$?
	[ "$r" = "$want" ] && { ok; return; }
	no "$what: status $r, not $want: ${*##*/}: $(head -c 200 err)"
	return 1
}
says() { if grep -qF -- "$2" "$1"; then ok; else no "$3: '$2' is not in $1: $(head -c 200 "$1")"; fi; }
lacks() { if grep -qF -- "$2" "$1"; then no "$3: '$2' is in $1: $(head -c 200 "$1")"; else ok; fi; }
silent() { if [ ! -s "$1" ]; then ok; else no "$2: $1 is not empty: $(head -c 200 "$1")"; fi; }
same() { if cmp -s "$1" "$2"; then ok; else no "$3: $1 and $2 differ"; fi; }
holds() { local what=$1; shift; if "$@"; then ok; else no "$what: $*"; fi; }

sample() { xz -dc "$here/../images/sample/$1.img.xz"; }
fresh() { rm -f "$1" && truncate -s "${2:-4M}" "$1"; }

# Someone who is not root, so that permissions count. False where that cannot be had.
as_user()
{
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		"$@"
	fi
}
can_be_user()
{
	chmod 755 "$w"
	as_user "$tools/pdata_tools" --help >/dev/null 2>&1
}

finish()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ] && [ $passed -gt 0 ]
	exit
}
