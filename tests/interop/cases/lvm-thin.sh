#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lvm2 as the caller: thin_check before activation, a damaged pool refused, lvconvert --repair.
#: disk PV1 256M
#: disk PV2 256M
#: needs lvm lvm2
#: needs mkfs.ext4 e2fsprogs
#: tool thin_repair
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
lvm_setup
lvm_do vgcreate -s 1M vg "$PV1" "$PV2"
lvm_do lvcreate -L 128M -c 64k --poolmetadatasize 4M -Zn -T vg/pool
lvm_do lvcreate -V 64M -T vg/pool -n t0
lvm_do lvcreate -V 64M -T vg/pool -n t1
mark random /dev/vg/t0 65536 400 1024 a
must mkfs.ext4 -q -F /dev/vg/t1
lvm_do lvcreate -s -n s0 vg/t0
lvm_do lvchange -ay -K vg/s0
mark random /dev/vg/s0 65536 120 1024 b
sums() { for v in t0 t1 s0; do echo "$v $(sum /dev/vg/$v)"; done; }
sums >before
called thin_check 0
lvm_do vgchange -an vg
: >calls

reads_the_same()
{
	lvm_do lvchange -ay -K vg/t0 vg/t1 vg/s0
	sums >after
	same before after "$1: the data differ"
	called thin_check 0
	lvm_do vgchange -an vg
	: >calls
}
reads_the_same activation
lvm_do lvconvert --yes --repair vg/pool
called thin_repair 0
reads_the_same "repair of a sound pool"
lvm_do lvremove -y vg/pool_meta0

read -r pv at <<<"$(lv_place vg/pool_tmeta)"
spoil "$pv" $((at / 4096 + $(le64 "$pv" $((at + 80)))))
if lvchange -ay vg/pool >lvm.out 2>lvm.err; then die "lvm2 activated a damaged pool"; fi
called thin_check '[1-9][0-9]*'
lvm_do lvconvert --yes --repair vg/pool
called thin_repair 0
reads_the_same "repair of a damaged pool"
