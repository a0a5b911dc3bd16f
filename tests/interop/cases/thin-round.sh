#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A pool with snapshots and discards: our dump says of each block what the kernel says; dump,
# restore, activate gives the same devices; and the kernel goes on from restored metadata.
#: disk META 8M
#: disk META2 8M
#: disk DATA 128M
#: tool thin_check
#: tool thin_dump
#: tool thin_restore
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
S=65536 B=65536
DEVS="0:$S 1:$S 2:$S 9:$S 16777215:$S"
wipe "$META"
pool p "$META" "$DATA" 128 skip_block_zeroing
new_thin t0 p 0 $S
mark random /dev/mapper/t0 $B 350 512 a
snap p 1 0 t0
thin t1 p 1 $S
mark random /dev/mapper/t1 $B 120 512 b
snap p 2 1 t1
new_thin t9 p 9 $S
mark run /dev/mapper/t9 $B 280 c 100
new_thin top p 16777215 $S
mark random /dev/mapper/top $B 150 512 d
mark random /dev/mapper/t0 $B 40 512 e
must blkdiscard -o $((B * 220)) -l $((B * 60)) /dev/mapper/t9
message p "set_transaction_id 0 17"
fails 1 thin_check "$META"
grep -q 'Device or resource busy' err || die "a live pool was not refused as busy"
gone t0 t1 t9 top p
# shellcheck disable=SC2086
thin_view "$META" "$DATA" 128 $DEVS >before
quiet thin_check "$META"
must thin_dump "$META" >a.xml
grep -q 'transaction="17"' a.xml || die "the transaction id is not in the dump"
dump_maps <a.xml | sort >tool
grep '^map ' before | sort >kernel
same kernel tool "the dump maps other blocks than the kernel"
say "mappings that agree: $(wc -l <kernel)"

quiet thin_restore -i a.xml -o "$META2"
quiet thin_check "$META2"
# shellcheck disable=SC2086
thin_view "$META2" "$DATA" 128 $DEVS >after
same before after "the restored pool reads differently"

pool p "$META2" "$DATA" 128 skip_block_zeroing
thin t0 p 0 $S
mark random /dev/mapper/t0 $B 100 512 f
snap p 30 0 t0
message p "delete 9"
mark random /dev/mapper/t0 $B 200 512 g
gone t0 p
quiet thin_check "$META2"
thin_view "$META2" "$DATA" 128 1:$S 2:$S >after
for d in 1 2; do
	[ "$(grep "^sum $d " before)" = "$(grep "^sum $d " after)" ] ||
		die "device $d changed when another was written on the restored pool"
done
