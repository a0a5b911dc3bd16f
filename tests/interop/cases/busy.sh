#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What others hold is refused as busy, for reading and for writing, and nothing of it is touched;
# two names of one device are one device.
#: disk META 8M
#: disk DATA 64M
#: disk OTHER 8M
#: disk SMALL 32K
#: tool thin_check
#: tool thin_dump
#: tool thin_restore
#: tool thin_repair
#: tool cache_check
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
S=65536

busy()		# COMMAND...: refused, and with a word about live metadata
{
	fails 1 "$@"
	grep -q 'Device or resource busy' err || die "not refused as busy: $*"
	grep -qi 'live metadata' err || die "no word about live metadata: $*"
	fails 1 "$1" -q "${@:2}"
	[ ! -s err ] || die "-q is not quiet: $*"
}

wipe "$META"
pool p "$META" "$DATA" 128 skip_block_zeroing
new_thin t0 p 0 $S
mark random /dev/mapper/t0 65536 50 512 a
echo '<superblock uuid="" time="0" transaction="0" version="2" data_block_size="128" nr_data_blocks="100"></superblock>' >empty.xml
# a running pool commits when it likes
must dmsetup suspend t0
must dmsetup suspend p
sum "$META" >before
for o in "" --super-block-only --skip-mappings --auto-repair --clear-needs-check-flag; do
	# shellcheck disable=SC2086
	busy thin_check $o "$META"
done
busy thin_dump "$META"
busy thin_dump --repair -o dumped "$META"
[ ! -e dumped ] || die "an output was made"
busy thin_restore -i empty.xml -o "$META"
busy thin_repair -i "$META" -o "$OTHER"
busy thin_repair --in-place "$META"
busy cache_check "$META"
sum "$META" >after
same before after "a live device was written to"
must dmsetup resume p
must dmsetup resume t0
gone t0 p
quiet thin_check "$META"

# a repair onto what another holds; onto itself by another name
must mkfs.ext4 -q "$OTHER"
must mount "$OTHER" /mnt
busy thin_repair -i "$META" -o "$OTHER"
must umount /mnt
must mknod meta b $((0x$(stat -c %t "$META"))) $((0x$(stat -c %T "$META")))
sum "$META" >before
fails 64 thin_repair -i "$META" -o meta
sum "$META" >after
same before after "a repair onto its own input wrote"

# sizes are told of devices, too
fails 1 thin_repair -i "$META" -o "$SMALL"
grep -q 'Output file too small' err || die "a device of 8 blocks is not refused"
quiet thin_repair -i "$META" -o "$OTHER"
quiet thin_check "$OTHER"
must thin_dump "$META" >a
must thin_dump "$OTHER" >b
same a b "the repaired copy dumps otherwise"

# what lvm2 does: XML in a file that is deleted already, by way of /proc
exec 9<>deleted
cat b >deleted
rm deleted
quiet thin_restore -i /proc/$$/fd/9 -o "$OTHER"
must thin_dump "$OTHER" >a
same a b "restored from /proc"
