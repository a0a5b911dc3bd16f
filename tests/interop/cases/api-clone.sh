#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Regions that were copied by hand and set in the library are the kernel's own from then on: it reads them from the
# destination, and hydrates the rest to the end; with metadata that either of them made.
#: disk META 2M
#: disk DEST 64M
#: disk SOURCE 64M
#: change
#: tool clone_check
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
R=4096
nr_hydrated() { local n; n=$(hydrated "$1"); echo "${n%/*}"; }

# by_hand BEGIN END: those regions of the destination get marks of their own
by_hand()
{
	mark run "$DEST" $R $(($2 - $1)) "hand$made" "$1"
	quiet "$CHANGE" clone "$META" "$1" "$2"
	quiet clone_check "$META"
}

for made in library kernel; do
	wipe "${META:?}"
	mark run "$SOURCE" $R 16384 "source$made"
	wipe "$DEST" 16384
	n=0
	if [ $made = library ]; then
		quiet "$CHANGE" make-clone "$META" 8 131072
	else
		clone c "$META" "$DEST" "$SOURCE" 8 no_hydration
		mark random /dev/mapper/c $R 500 8000 w
		n=$(nr_hydrated c)
		gone c
	fi
	by_hand 9000 9777
	by_hand 16000 16384
	clone c "$META" "$DEST" "$SOURCE" 8 no_hydration
	[ "$(nr_hydrated c)" = $((n + 777 + 384)) ] || die "$made: hydrated $(hydrated c)"
	mark scan /dev/mapper/c $R >seen
	[ "$(grep -c " hand$made " seen)" = $((777 + 384)) ] || die "$made: the kernel does not read what was put there"
	mark random /dev/mapper/c $R 300 9000 x
	gone c
	quiet clone_check "$META"
	by_hand 10000 11000
	clone c "$META" "$DEST" "$SOURCE" 8 no_hydration
	want=$(sum /dev/mapper/c)
	message c enable_hydration
	for ((i = 0; i < 300; i++)); do
		case $(hydrated c) in 16384/16384) break ;; esac
		sleep 0.1
	done
	gone c
	quiet clone_check "$META"
	[ "$(sum "$DEST")" = "$want" ] || die "$made: hydrated to the end it reads differently"
	say "ok made by the $made"
done
