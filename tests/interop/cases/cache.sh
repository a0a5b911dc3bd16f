#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Both formats, after a clean shutdown and after a power cut: what the kernel makes of a dump
# restored, and of repaired metadata, reads the same as what it makes of its own, and so does the
# origin once all that is dirty was written back. cache_writeback does the latter without the kernel.
#: disk META 4M
#: disk FAST 16M
#: disk ORIGIN 32M
#: disk OUT1 4M
#: disk FAST2 16M
#: disk ORIGIN2 32M
#: phases clean1 clean2 cut1 seen1 cut2 seen2
#: tool cache_check
#: tool cache_dump
#: tool cache_restore
#: tool cache_repair
#: tool cache_writeback
# shellcheck source=../lib.sh disable=SC1091
. "${LIB:?}"
B=65536 v=${PHASE: -1}
[ "$v" = 1 ] && features="1 writeback" || features="2 metadata2 writeback"

fill()
{
	local i
	mark run "$ORIGIN" $B 512 "o$PHASE"
	wipe "$META"
	cache c "$META" "$FAST" "$ORIGIN" 128 "$features"
	# What the policy takes, and when, is its own affair.
	for i in 1 2 3 4 5 6 7 8; do
		message c migration_threshold 1000000
		heat /dev/mapper/c $B 0 100 "a$PHASE$i"
		heat /dev/mapper/c $B 300 60 "b$PHASE$i"
		hold_dirty c
		mark random /dev/mapper/c $B 150 512 "c$PHASE$i"
		[ "$(dirty c)" = 0 ] || return 0
	done
	die "nothing is dirty: this would prove nothing"
}

# seen_by META: what a cache with this metadata reads as, and its origin once written back
seen_by()
{
	local s
	copy "$FAST" "$FAST2"
	copy "$ORIGIN" "$ORIGIN2"
	create t "0 $(sectors "$ORIGIN2") cache $1 $FAST2 $ORIGIN2 128 $features cleaner 0"
	s=$(sum /dev/mapper/t)
	wait_clean t
	gone t
	echo "$s $(sum "$ORIGIN2")"
}

judge()
{
	local want
	quiet cache_check "$META"
	copy "$META" "$OUT1"
	want=$(seen_by "$OUT1")

	must cache_dump "$META" >a.xml
	wipe "$OUT1"
	quiet cache_restore -i a.xml -o "$OUT1" --metadata-version "$v"
	quiet cache_check "$OUT1"
	[ "$(seen_by "$OUT1")" = "$want" ] || die "$PHASE: dump and restore: it reads differently"
	wipe "$OUT1"
	quiet cache_repair -i "$META" -o "$OUT1"
	quiet cache_check "$OUT1"
	[ "$(seen_by "$OUT1")" = "$want" ] || die "$PHASE: repair: it reads differently"

	copy "$META" "$OUT1"
	copy "$FAST" "$FAST2"
	copy "$ORIGIN" "$ORIGIN2"
	quiet cache_writeback --metadata-device "$OUT1" --fast-device "$FAST2" --origin-device "$ORIGIN2"
	[ "$(sum "$ORIGIN2")" = "${want#* }" ] || die "$PHASE: cache_writeback left the origin different"
	quiet cache_check "$OUT1"
	say "ok $PHASE"
}

case $PHASE in
clean*)	fill; gone c; judge ;;
cut*)	fill; power_cut ;;
seen*)	judge ;;
esac
