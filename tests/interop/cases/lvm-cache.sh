#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lvm2 as the caller for caches of both formats: cache_check at activation, damage refused,
# lvconvert --repair, uncache.
#: disk PV1 128M
#: disk PV2 128M
#: needs lvm lvm2
#: tool cache_check
#: tool cache_repair
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
lvm_setup
lvm_do vgcreate -s 1M vg "$PV1" "$PV2"
for format in 1 2; do
	lvm_do lvcreate -y -L 64M -n lv vg "$PV1"
	mark run /dev/vg/lv 65536 1000 "a$format"
	lvm_do lvcreate -y --type cache-pool -L 16M --poolmetadatasize 8M -c 64k \
		--cachemetadataformat $format --cachemode writeback -n cpool vg "$PV2"
	lvm_do lvconvert -y --type cache --cachemode writeback --cachepool vg/cpool vg/lv
	mark random /dev/vg/lv 65536 200 1000 "b$format"
	heat /dev/vg/lv 65536 0 50 "c$format"
	want=$(sum /dev/vg/lv)
	lvm_do lvchange -an vg/lv
	: >calls
	lvm_do lvchange -ay vg/lv
	called cache_check 0
	[ "$(sum /dev/vg/lv)" = "$want" ] || die "format $format: activation: it reads differently"
	lvm_do lvchange -an vg/lv
	: >calls
	lvm_do lvconvert -y --repair vg/lv
	called cache_repair 0
	lvm_do lvchange -ay vg/lv
	called cache_check 0
	[ "$(sum /dev/vg/lv)" = "$want" ] || die "format $format: repair: it reads differently"
	lvm_do lvchange -an vg/lv

	cmeta=$(lvs -a --noheadings -o lv_name vg | tr -d ' []' | grep '_cmeta$')
	read -r pv at <<<"$(lv_place "vg/$cmeta")"
	root=$(le64 "$pv" $((at + 192)))
	dd if="$pv" of=good bs=4096 skip=$((at / 4096 + root)) count=1 iflag=direct status=none
	spoil "$pv" $((at / 4096 + root))
	: >calls
	if lvchange -ay vg/lv >lvm.out 2>lvm.err; then die "format $format: lvm2 activated a damaged cache"; fi
	called cache_check '[1-9][0-9]*'
	dd if=good of="$pv" bs=4096 seek=$((at / 4096 + root)) conv=notrunc oflag=direct status=none
	lvm_do lvchange -ay vg/lv
	lvm_do lvconvert -y --uncache vg/lv
	[ "$(sum /dev/vg/lv)" = "$want" ] || die "format $format: uncache: it reads differently"
	say "ok format $format"
	lvm_do vgchange -an vg
	lvm_do lvremove -y vg
done
