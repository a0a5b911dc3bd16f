#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A pool made only by transactions of the library: the kernel maps what our dump says, writes, takes snapshots,
# discards and deletes, and what it leaves is sound; then the library goes on from there.
#: disk META 8M
#: disk DATA 128M
#: tool thin_check
#: tool thin_dump
#: tool thin_generate_metadata
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
S=131072 B=65536
wipe "${META:?}"
must thin_generate_metadata -o "$META" --format --block-size 128 --nr-data-blocks 2048 --nr-devices 6 --nr-mappings 200 --seed 5
quiet thin_check "$META"
must thin_dump "$META" >a.xml
dump_maps <a.xml | sort >tool
[ "$(wc -l <tool)" -gt 900 ] || die "only $(wc -l <tool) mappings"
# every data block carries its own number, so that what a device reads says where it lies
mark run "${DATA:?}" $B 2048 d
thin_view "$META" "$DATA" 128 1:$S 2:$S 3:$S 4:$S 5:$S 6:$S >before
for d in 1 2 3 4 5 6; do
	kernel=$(awk -v d=$d '$1 == "mapped" && $2 == d { print $3 / 128 }' before)
	ours=$(grep -c "^map $d " tool)
	[ "$kernel" = "$ours" ] || die "device $d: the kernel has $kernel blocks mapped, the dump $ours"
done
pool p "$META" "$DATA" 128 skip_block_zeroing
thin t1 p 1 $S
mark random /dev/mapper/t1 $B 150 700 a
snap p 9 1 t1
mark random /dev/mapper/t1 $B 100 700 b
must blkdiscard -o $((B * 100)) -l $((B * 200)) /dev/mapper/t1
message p "delete 4"
message p "create_snap 10 6"
gone t1 p
quiet thin_check "$META"
thin_view "$META" "$DATA" 128 5:$S >after
[ "$(grep '^mapped 5 ' before)" = "$(grep '^mapped 5 ' after)" ] || die "device 5 has changed"
say "mappings: $(wc -l <tool)"
