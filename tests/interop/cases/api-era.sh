#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the library marks in eras that it began, and what the kernel records in its own, is listed together; with
# metadata that either of them made.
#: disk META 2M
#: disk ORIGIN 32M
#: change
#: tool era_check
#: tool era_invalidate
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
B=65536

# kernel_writes COUNT TAG: "BLOCK ERA" of each to the file written
kernel_writes()
{
	local e
	era e "$META" "$ORIGIN" 128
	message e checkpoint
	e=$(era_now e)
	[ "$e" -gt "$last" ] || die "the kernel went back from era $last to $e"
	mark random /dev/mapper/e $B "$1" 512 "$2"
	[ "$(era_now e)" = "$e" ] || die "the era moved on during a write"
	mark scan "$ORIGIN" $B | awk -v t="$2" -v e="$e" '$2 == t { print $1, e }' >>written
	last=$e
	message e checkpoint
	sleep 1
	gone e
}

all_listed()
{
	local e
	quiet era_check "$META"
	for e in 1 $((last / 2)) $((last - 1)) "$last"; do
		must era_invalidate --written-since "$e" "$META" >inv.xml
		listed <inv.xml >got
		awk -v e="$e" '$2 >= e { print $1 }' written | sort -nu >want
		same want got "$1: since $e"
	done
	say "ok $1: $(sort -u written | wc -l) blocks, era $last"
}

for made in library kernel; do
	wipe "${META:?}"
	: >written
	last=0
	if [ $made = library ]; then
		quiet "$CHANGE" make-era "$META" 128 512
	else
		kernel_writes 100 first
		all_listed "made by the kernel"
	fi
	for round in 1 2; do
		must "$CHANGE" era "$META" $((round * 3)) >marked
		cat marked >>written
		last=$(awk 'END { print $2 }' marked)
		all_listed "made by the $made, marked, round $round"
		kernel_writes 50 "$made$round"
		all_listed "made by the $made, written, round $round"
	done
done
