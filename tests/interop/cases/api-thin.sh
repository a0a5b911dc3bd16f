#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A pool that the library made, and one that the kernel made, go back and forth: the library changes it in transactions,
# the kernel maps exactly what our dump says, writes, takes snapshots, deletes; twice round.
#: disk META 8M
#: disk DATA 128M
#: change
#: tool thin_check
#: tool thin_dump
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
S=131072 B=65536

# dump_ids: the devices there are
dump_ids() { perl -ne 'print "$1\n" if /<device dev_id="(\d+)"/'; }

# both_see WHAT: the kernel maps what the dump says
both_see()
{
	local id devs=()
	quiet thin_check "$META"
	must thin_dump "$META" >now.xml
	for id in $(dump_ids <now.xml); do devs+=("$id:$S"); done
	# every data block carries its own number, so that what a device reads says where it lies
	mark run "$DATA" $B 2048 d
	thin_view "$META" "$DATA" 128 "${devs[@]}" | grep '^map ' | sort >kernel
	dump_maps <now.xml | sort >ours
	same ours kernel "$1: the kernel maps something else than the dump says"
	[ "$(wc -l <ours)" -gt "$2" ] || die "$1: only $(wc -l <ours) mappings: this would prove nothing"
	say "ok $1: ${#devs[@]} devices, $(wc -l <ours) mappings"
}

kernel_goes_on()
{
	local last
	last=$(dump_ids <now.xml | tail -n 1)
	pool p "$META" "$DATA" 128 skip_block_zeroing
	thin t p "$last" $S
	mark random /dev/mapper/t $B 150 700 "a$1"
	snap p $((last + 3)) "$last" t
	mark random /dev/mapper/t $B 100 700 "b$1"
	must blkdiscard -o $((B * 100)) -l $((B * 50)) /dev/mapper/t
	gone t
	message p "create_thin $((last + 4))"
	message p "delete $(dump_ids <now.xml | head -n 1)"
	gone p
	quiet thin_check "$META"
}

for made in library kernel; do
	wipe "${META:?}"
	if [ $made = library ]; then
		quiet "$CHANGE" make-thin "$META" 128 2048
	else
		pool p "$META" "$DATA" 128 skip_block_zeroing
		new_thin t p 1 $S
		mark random /dev/mapper/t $B 300 700 k
		snap p 2 1 t
		mark random /dev/mapper/t $B 100 700 l
		gone t p
	fi
	for round in 1 2; do
		quiet "$CHANGE" thin "$META" $((round * 7))
		both_see "made by the $made, round $round" 30
		kernel_goes_on $round
		both_see "made by the $made, round $round, the kernel went on" 100
	done
done
