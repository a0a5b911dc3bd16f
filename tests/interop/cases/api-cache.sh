#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Both formats: a cache that the library made, then one that the kernel made, changed by the library and used by the
# kernel again: what it reads is what the dump says, block by block, and so is the origin once it is written back.
#: disk META 4M
#: disk FAST 4M
#: disk ORIGIN 8M
#: disk WANT 8M
#: phases 1 2
#: change
#: tool cache_check
#: tool cache_dump
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
B=65536 N=64 NR=128

# want: the origin with each mapped block of the fast device over it
want()
{
	local c o
	copy "$ORIGIN" "$WANT"
	must cache_dump "$META" >now.xml
	perl -ne 'print "$1 $2\n" if /<mapping cache_block="(\d+)" origin_block="(\d+)"/' now.xml >maps
	while read -r c o; do
		dd if="$FAST" of="$WANT" bs=$B skip="$c" seek="$o" count=1 conv=notrunc iflag=direct oflag=direct status=none
	done <maps
	sum "$WANT"
}

# kernel_reads WHAT: then it heats other blocks, and leaves some of them dirty
kernel_reads()
{
	local w
	quiet cache_check "$META"
	w=$(want)
	[ "$(wc -l <maps)" -gt 20 ] || die "$1: only $(wc -l <maps) mappings: this would prove nothing"
	cache c "$META" "$FAST" "$ORIGIN" 128 "$features"
	[ "$(sum /dev/mapper/c)" = "$w" ] || die "$1: the kernel reads something else"
	heat /dev/mapper/c $B 0 20 "k$1"
	hold_dirty c
	mark random /dev/mapper/c $B 50 $NR "r$1"
	gone c
	quiet cache_check "$META"
	say "ok $1: $(wc -l <maps) mappings"
}

v=$PHASE
[ "$v" = 1 ] && features="1 writeback" || features="2 metadata2 writeback"
for made in library kernel; do
	wipe "${META:?}"
	mark run "$ORIGIN" $B $NR "o$v$made"
	mark run "$FAST" $B $N "f$v$made"
	if [ $made = library ]; then
		quiet "$CHANGE" make-cache "$META" 128 $N "$v"
	else
		cache c "$META" "$FAST" "$ORIGIN" 128 "$features"
		# what the policy takes, and when, is its own affair
		for i in 1 2 3 4 5 6 7 8; do
			heat /dev/mapper/c $B 60 30 "m$v$i"
			[ "$(cached c)" -le 20 ] || break
		done
		gone c
	fi
	for round in 1 2; do
		quiet "$CHANGE" cache "$META" $((round * 5)) $NR
		kernel_reads "version $v by the $made, round $round"
	done
	w=$(want)
	create c "0 $(sectors "$ORIGIN") cache $META $FAST $ORIGIN 128 $features cleaner 0"
	wait_clean c
	gone c
	[ "$(sum "$ORIGIN")" = "$w" ] || die "written back, version $v by the $made: the origin differs"
	quiet cache_check "$META"
done
