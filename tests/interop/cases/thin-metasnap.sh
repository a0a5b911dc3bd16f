#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Between reserve and release, -m reads the snapshot of a running pool; without -m the pool is
# refused as busy; afterwards it runs on.
#: disk META 8M
#: disk DATA 64M
#: tool thin_check
#: tool thin_dump
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
S=65536 B=65536
wipe "$META"
pool p "$META" "$DATA" 128 skip_block_zeroing
new_thin t0 p 0 $S
mark random /dev/mapper/t0 $B 150 512 a
snap p 1 0 t0
fails 1 thin_dump -m "$META"
grep -q 'no current metadata snap' err || die "no word about the missing snapshot"
mark where /dev/mapper/t0 "$DATA" $B | sed 's/^/map 0 /' | sort >mapped
message p reserve_metadata_snap
mark random /dev/mapper/t0 $B 150 512 b
message p "create_thin 5"
quiet thin_check -m "$META"
must thin_dump -m "$META" >snap.xml
dump_maps <snap.xml | grep '^map 0 ' | sort >tool
same mapped tool "the snapshot's dump is not what was mapped when it was taken"
if grep -q 'dev_id="5"' snap.xml; then die "a device made later is in the snapshot"; fi
for c in thin_check thin_dump; do
	fails 1 $c "$META"
	grep -q 'Device or resource busy' err || die "$c without -m: not refused as busy"
done
message p release_metadata_snap
mark random /dev/mapper/t0 $B 50 512 c
gone t0 p
quiet thin_check "$META"
