#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every block changed since an era is listed: by era_invalidate of the kernel's metadata, of a
# metadata snapshot of the running device, of a dump restored, and after the kernel went on.
#: disk META 2M
#: disk META2 2M
#: disk ORIGIN 64M
#: tool era_check
#: tool era_dump
#: tool era_restore
#: tool era_repair
#: tool era_invalidate
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
B=65536
writes()	# COUNT: tagged with the era they fall into
{
	local e
	e=$(era_now e)
	mark random /dev/mapper/e $B "$1" 1024 "era$e"
	[ "$(era_now e)" = "$e" ] || die "the era moved on during a write"
}
truth() { mark scan "$ORIGIN" $B | sed -n 's/^\([0-9]*\) era\([0-9]*\) .*/\1 \2/p'; }

# since WHAT META OPTION...: for each era, what is listed is what was written
since()
{
	local what=$1 meta=$2 e
	shift 2
	for ((e = 1; e <= last; e++)); do
		must era_invalidate --written-since $e "$@" "$meta" >inv.xml
		listed <inv.xml >got
		awk -v e=$e '$2 >= e { print $1 }' written | sort -n >want
		same want got "$what: since $e"
	done
	say "ok $what"
}

wipe "${META:?}"
era e "$META" "$ORIGIN" 128
writes 300
for i in 100 50 20; do
	message e checkpoint
	writes $i
done
truth >written
last=$(era_now e)
message e take_metadata_snap
since snapshot "$META" --metadata-snapshot
fails 1 era_check "$META"
writes 30
message e drop_metadata_snap
truth >written
last=$(era_now e)
sleep 1
gone e
quiet era_check "$META"
since kernel "$META"
must era_dump "$META" >a.xml
quiet era_restore -i a.xml -o "$META2"
quiet era_check "$META2"
must era_dump "$META2" >b.xml
same a.xml b.xml "the dump of the restored metadata differs"
since restored "$META2"
wipe "$META2"
quiet era_repair -i "$META" -o "$META2"
quiet era_check "$META2"
since repaired "$META2"
era e "$META2" "$ORIGIN" 128
[ "$(era_now e)" -ge "$last" ] || die "the kernel went back to era $(era_now e)"
writes 10
message e checkpoint
last=$(era_now e)
truth >written
gone e
quiet era_check "$META2"
since continued "$META2"
