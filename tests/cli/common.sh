#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every command, as a user or lvm2 would call it: what holds for all of them (cli contract, 1).
# usage: common.sh TOOLSDIR
set -u
tools=${1:-${tools:-../tools}}
tools=$(cd "$tools" && pwd)
here=$(cd "$(dirname -- "$0")" && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
cd "$w" || exit 1
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); }
no() { failed=$((failed + 1)); echo "FAIL $*"; }

# is STATUS WHAT COMMAND...: runs it; out and err are left in files
is()
{
	local want=$1 what=$2 r
	shift 2
	"$@" >out 2>err </dev/null
	r=$?
	[ "$r" = "$want" ] && { ok; return; }
	no "$what: status $r, not $want: $*"
}
says() { if grep -qF -- "$2" "$1"; then ok; else no "$3: '$2' is not in $1: $(head -c 200 "$1")"; fi; }
silent() { if [ ! -s "$1" ]; then ok; else no "$2: $1 is not empty: $(head -c 200 "$1")"; fi; }

commands=$("$tools/pdata_tools" --help | sed -n 's/^  \([a-z_]*\)  .*/\1/p')
[ -n "$commands" ] || no "no commands are listed"
is 64 "bare call" "$tools/pdata_tools"; silent out "bare call"; says err thin_check "bare call"
is 64 "unknown command" "$tools/pdata_tools" no_such_command

for c in $commands; do
	[ -x "$tools/$c" ] || { no "$c has no link"; continue; }
	for o in -h --help; do
		is 0 "$c $o" "$tools/$c" $o; silent err "$c $o"; says out "Usage: $c" "$c $o"
	done
	for o in -V --version; do
		is 0 "$c $o" "$tools/$c" $o; silent err "$c $o"
		if grep -qE '^[0-9]+\.[0-9]+\.[0-9]+' out; then ok; else no "$c $o: $(cat out)"; fi
	done
	is 0 "$c by first word" "$tools/pdata_tools" "$c" --help
	is 64 "$c, unknown option" "$tools/$c" --hedgehogs-only
	says err "unexpected argument '--hedgehogs-only' found" "$c"
	is 64 "$c, nothing given" "$tools/$c"; says err "the following required arguments were not provided" "$c"
	is 64 "$c, engine" "$tools/$c" --io-engine none
done

xz -dc "$here/../images/sample/healthy.img.xz" >good.img
xz -dc "$here/../images/sample/damaged.img.xz" >bad.img
head -c 4096 good.img >block.img
head -c 100 good.img >short.img
head -c 8192 /dev/zero >zeros.img
printf '<superblock uuid="" time="0"/>%8192s' ' ' >text.xml
{ printf '<abc'; head -c 8188 /dev/zero; } >less.img
mkdir dir
mkfifo fifo

# Commands that read binary metadata from their operand.
for c in thin_check thin_dump cache_check cache_dump era_check era_dump clone_check clone_dump; do
	[ -x "$tools/$c" ] || continue
	is 1 "$c missing" "$tools/$c" nowhere; says err "Couldn't find input file" "$c"
	is 1 "$c directory" "$tools/$c" dir; says err "Not a block device or regular file" "$c"
	is 1 "$c fifo" "$tools/$c" fifo; says err "Not a block device or regular file" "$c"
	is 1 "$c short" "$tools/$c" short.img
	says err "Metadata device/file too small.  Is this binary metadata?" "$c"
	is 1 "$c XML" "$tools/$c" text.xml
	says err "This looks like XML.  This tool only supports the binary metadata format." "$c"
	is 1 "$c zeros" "$tools/$c" zeros.img; says err "bad checksum in superblock" "$c"
	is 1 "$c checksum with a <" "$tools/$c" less.img; says err "bad checksum in superblock" "$c, a checksum with a <"
	is 64 "$c two operands" "$tools/$c" zeros.img surplus; says err "unexpected argument 'surplus' found" "$c"
	if [ "$(id -u)" != 0 ]; then
		cp good.img locked.img && chmod 0 locked.img
		is 1 "$c permission" "$tools/$c" locked.img; says err "Permission denied" "$c"
	else
		skipped=$((skipped + 1))
	fi
done
for c in thin_check cache_check era_check clone_check; do
	[ -x "$tools/$c" ] || continue
	is 1 "$c -q" "$tools/$c" -q zeros.img; silent out "$c -q"; silent err "$c -q"
done

before=$(cksum <good.img)
is 0 "healthy" "$tools/thin_check" good.img; silent err healthy
printf 'TRANSACTION_ID=7\n' >want; head -n 1 out | cmp -s - want && ok || no "TRANSACTION_ID: $(cat out)"
is 0 "quiet" "$tools/thin_check" -q good.img; silent out quiet
is 0 "superblock of one block" "$tools/thin_check" --super-block-only block.img
is 0 "skip mappings" "$tools/thin_check" --skip-mappings good.img
is 1 "damaged" "$tools/thin_check" bad.img; says err "block-checksum" damaged; says err "virtual blocks [" damaged
is 1 "no snapshot" "$tools/thin_check" -m good.img; says err "no current metadata snap" "no snapshot"; silent out "no snapshot"
for pair in "--auto-repair -m" "--auto-repair --super-block-only" "--auto-repair --skip-mappings" \
	    "--auto-repair --ignore-non-fatal-errors" "--auto-repair --override-mapping-root 1" \
	    "--clear-needs-check-flag -m" "--clear-needs-check-flag --override-details-root 1"; do
	# shellcheck disable=SC2086
	is 64 "thin_check $pair" "$tools/thin_check" $pair good.img
done
is 64 "number" "$tools/thin_check" --override-mapping-root 12x good.img
is 64 "sign" "$tools/thin_check" --override-mapping-root -- -1
is 0 "abbreviation" "$tools/thin_check" --super good.img

is 0 "dump" "$tools/thin_dump" good.img; silent err dump; cp out good.xml
[ "$(tail -c 1 good.xml)" = ">" ] && ok || no "a dump ends with a newline"
is 0 "dump -o" "$tools/thin_dump" -o a.xml good.img; cmp -s a.xml good.xml && ok || no "dump -o differs"
is 0 "dump .gz" "$tools/thin_dump" -o a.xml.gz good.img; gzip -dc a.xml.gz | cmp -s - good.xml && ok || no "dump .gz differs"
"$tools/thin_dump" good.img | head -n 1 >first; [ "${PIPESTATUS[1]}" = 0 ] && ok
is 1 "dump of damage" "$tools/thin_dump" bad.img; says out "<superblock" "first line"
is 1 "dump of nothing keeps the last" "$tools/thin_dump" -o a.xml zeros.img; cmp -s a.xml good.xml && ok || no "a good dump was destroyed"
is 1 "dump into nowhere" "$tools/thin_dump" -o no/where good.img
if [ -c /dev/full ]; then is 1 "disk full" "$tools/thin_dump" -o /dev/full good.img; says err "No space left" "disk full"; fi
cat fifo >from-fifo & is 0 "dump to a fifo" "$tools/thin_dump" -o fifo good.img; wait; cmp -s from-fifo good.xml && ok || no "fifo"
head -c 10 fifo >/dev/null & "$tools/thin_dump" -o fifo good.img 2>err; [ $? != 0 ] || [ "$(wc -c <good.xml)" -lt 65536 ] && ok || no "a reader that went away"; wait; silent err "fifo closed"
[ "$(cksum <good.img)" = "$before" ] && ok || no "an input was written to"

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
