#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A clone that was interrupted: dump and restore, and repair, keep which regions are hydrated;
# the kernel reads the same and goes on hydrating from them to the end.
#: disk META 2M
#: disk META2 2M
#: disk DEST 64M
#: disk DEST2 64M
#: disk SOURCE 64M
#: phases write check
#: tool clone_check
#: tool clone_dump
#: tool clone_restore
#: tool clone_repair
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
if [ "$PHASE" = write ]; then
	mark run "$SOURCE" 4096 16384 source
	wipe "$META"
	clone c "$META" "$DEST" "$SOURCE" 8 no_hydration
	mark random /dev/mapper/c 4096 800 16384 a
	message c enable_hydration
	"$MARK" random /dev/mapper/c 4096 4000 16384 b &
	sleep 0.3
	power_cut
fi
copy "$META" "$META2"
copy "$DEST" "$DEST2"
clone c "$META2" "$DEST2" "$SOURCE" 8 no_hydration
want=$(sum /dev/mapper/c) n=$(hydrated c)
gone c
quiet clone_check "$META"
clone_check "$META" >out
grep -q "^HYDRATED_REGIONS=${n%/*}\$" out || die "the kernel says $n hydrated, clone_check: $(cat out)"

# goes_on WHAT: $META2 reads the same, and hydrates to the end
goes_on()
{
	quiet clone_check "$META2"
	copy "$DEST" "$DEST2"
	clone c "$META2" "$DEST2" "$SOURCE" 8 no_hydration
	[ "$(hydrated c)" = "$n" ] || die "$1: $(hydrated c) hydrated, was $n"
	[ "$(sum /dev/mapper/c)" = "$want" ] || die "$1: it reads differently"
	message c enable_hydration
	for ((i = 0; i < 300; i++)); do
		case $(hydrated c) in 16384/16384) break ;; esac
		sleep 0.1
	done
	gone c
	[ "$(sum "$DEST2")" = "$want" ] || die "$1: hydrated to the end it reads differently"
	say "ok $1 ($n)"
}
must clone_dump "$META" >a.xml
wipe "$META2"
quiet clone_restore -i a.xml -o "$META2"
must clone_dump "$META2" >b.xml
same a.xml b.xml "the dump of the restored metadata differs"
goes_on restore
wipe "$META2"
quiet clone_repair -i "$META" -o "$META2"
goes_on repair
