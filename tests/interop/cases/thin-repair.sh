#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Repair of sound metadata, and of metadata whose space map, details or superblock is damaged:
# the kernel reads the same from the result.
#: disk META 8M
#: disk BAD 8M
#: disk META2 8M
#: disk DATA 128M
#: tool thin_repair
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
S=65536 B=65536 DEVS="0:65536 1:65536 7:65536"
wipe "$META"
pool p "$META" "$DATA" 128 skip_block_zeroing
new_thin t0 p 0 $S
mark random /dev/mapper/t0 $B 300 512 a
snap p 1 0 t0
mark random /dev/mapper/t0 $B 200 512 b
new_thin t7 p 7 $S
mark run /dev/mapper/t7 $B 200 c 30
message p "set_transaction_id 0 5"
gone t0 t7 p
# shellcheck disable=SC2086
thin_view "$META" "$DATA" 128 $DEVS >before

# try WHAT [OPTION...]: repair $BAD into $META2; everything must be there
try()
{
	local what=$1
	shift
	wipe "$META2"
	must thin_repair -i "$BAD" -o "$META2" "$@" >out 2>err
	quiet thin_check "$META2"
	# shellcheck disable=SC2086
	thin_view "$META2" "$DATA" 128 $DEVS >after
	same before after "$what: the repaired pool reads differently"
	say "ok $what"
}

copy "$META" "$BAD"
try sound
[ ! -s err ] || die "repair of sound metadata says something: $(cat err)"
copy "$META" "$BAD"; spoil "$BAD" "$(le64 "$META" 80)"
fails 1 thin_check "$BAD"
try data-space-map
copy "$META" "$BAD"; spoil "$BAD" "$(le64 "$META" 208)"
fails 1 thin_check "$BAD"
try metadata-space-map-index
copy "$META" "$BAD"; spoil "$BAD" 0
fails 1 thin_check "$BAD"
fails 1 thin_repair -i "$BAD" -o "$META2"
grep -q 'data block size' err || die "an unknown block size was not asked for"
