#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# thin_check: what it prints, what it may write, and what may stand together (cli contract, 1.9, 1.10, 3.1).
# usage: thin-check.sh TOOLSDIR
# shellcheck source=/dev/null
. "$(dirname -- "$0")/lib.sh"

check=$tools/thin_check poke=$tools/pdata_poke
damage() { "$tools/thin_generate_damage" -o x.img "$@" || no "thin_generate_damage $*"; }
set_flag() { "$tools/thin_generate_metadata" -o x.img --set-needs-check || no "thin_generate_metadata"; }
flag() { [ "$("$poke" x.img 0 show flags)" = "flags=$1" ]; }
leak() { damage --create-metadata-leaks --expected 0 --actual 1 --nr-blocks "${1:-1}"; }
loss() { damage --create-metadata-leaks --expected 1 --actual 0 --nr-blocks "${1:-1}"; }
x() { cp good.img x.img; }
number() { "$poke" good.img 0 show "$1" | cut -d= -f2; }

sample healthy >good.img
sample damaged >bad.img
xz -dc "$here/../images/pools/thin-metasnap.img.xz" >snap.img
head -c 4096 good.img >block.img

# ---- stdout ----
printf 'TRANSACTION_ID=%s\nMETADATA_FREE_BLOCKS=%s\n' "$(number trans_id)" \
	$(($(number metadata_space_map_root.nr_blocks) - $(number metadata_space_map_root.nr_allocated))) >want
for o in "" --super-block-only --skip-mappings --ignore-non-fatal-errors --clear-needs-check-flag --auto-repair; do
	x
	is 0 "good $o" "$check" $o x.img; same out want "good $o"; silent err "good $o"; same x.img good.img "good $o"
	is 0 "good -q $o" "$check" -q $o x.img; silent out "good -q $o"; silent err "good -q $o"
done
is 0 "a superblock alone" "$check" --super-block-only block.img; same out want "a superblock alone"
is 1 "damage" "$check" bad.img; says out TRANSACTION_ID= damage; lacks out "device details tree" damage
says err "thin device 2" damage; says err "virtual blocks [" damage; says err "block 46" damage
says err "thin_repair" "what to do"
is 1 "damage, quiet" "$check" -q bad.img; silent out "damage, quiet"; silent err "damage, quiet"
is 0 "damage, not looked at" "$check" --skip-mappings bad.img; is 0 "damage, not looked at" "$check" --super-block-only bad.img
is 1 "the same, however many workers" "$check" --threads 1 bad.img; cp err one
is 1 "the same, however many workers" "$check" --threads 8 bad.img; same err one "the same, however many workers"

# ---- what may not stand together; and what may, as lvm.conf of some people has it ----
while read -r a b; do
	x; set_flag; cp x.img before
	is 64 "$a $b" "$check" $a $b x.img; says err "cannot be used with" "$a $b"; same x.img before "$a $b"
	is 64 "$b $a" "$check" x.img $b $a
done <<-END
	--auto-repair -m
	--auto-repair --override-mapping-root 1
	--auto-repair --override-details-root 1
	--auto-repair --super-block-only
	--auto-repair --skip-mappings
	--auto-repair --ignore-non-fatal-errors
	--clear-needs-check-flag -m
	--clear-needs-check-flag --override-mapping-root 1
	--clear-needs-check-flag --override-details-root 1
END
for o in "" --super-block-only --skip-mappings --ignore-non-fatal-errors; do
	x; set_flag
	is 0 "flag alone $o" "$check" $o x.img; holds "flag alone $o" flag 1	# it is no fault
	is 0 "clear $o" "$check" -q --clear-needs-check-flag $o x.img; holds "clear $o" flag 0
	# nothing but the flag and the checksum
	"$poke" x.img 0 set flags=1; cp x.img y.img; x; set_flag; same x.img y.img "clear $o"
	[ -z "$o" ] && continue
	x; set_flag; leak
	is 0 "clear $o, a leak" "$check" -q --clear-needs-check-flag $o x.img; holds "clear $o, a leak" flag 0
	is 1 "clear $o, a leak" "$check" -q x.img	# it is still there
done

# ---- leaks: mended; lost counts: never ----
for n in "0 1 1" "0 1 16" "0 2 3" "1 2 2"; do
	read -r expected actual nr <<<"$n"
	x; damage --create-metadata-leaks --expected "$expected" --actual "$actual" --nr-blocks "$nr"; cp x.img before
	is 1 "leak $n" "$check" x.img; says err "[leak]" "leak $n"; says err "--auto-repair" "leak $n"; same x.img before "leak $n"
	says err "$nr counts are too high" "leak $n"
	is 0 "leak $n ignored" "$check" --ignore-non-fatal-errors x.img; same x.img before "leak $n ignored"
	for o in --auto-repair --clear-needs-check-flag; do
		cp before x.img; set_flag
		is 0 "leak $n $o" "$check" $o x.img; says err "mended" "leak $n $o"; holds "leak $n $o" flag 0
		is 0 "leak $n, after $o" "$check" x.img; silent err "leak $n, after $o"; same out want "leak $n, after $o"
		is 0 "leak $n, dump after $o" "$tools/thin_dump" x.img; cp out dump; "$tools/thin_dump" good.img >out; same out dump "leak $n, after $o"
	done
done
x; set_flag; loss 2; cp x.img before
for o in "" --ignore-non-fatal-errors --clear-needs-check-flag --auto-repair "--clear-needs-check-flag --ignore-non-fatal-errors"; do
	is 1 "lost $o" "$check" $o x.img; says err "[lost-count]" "lost $o"; says err "--in-place" "lost $o"; same x.img before "lost $o"
done
x; loss 8; damage --create-metadata-leaks --expected 0 --actual 2 --nr-blocks 20; cp x.img before
is 1 "both" "$check" --auto-repair x.img; says err "[lost-count]" both; says err "[leak]" both; same x.img before "both"
# free counts and hints: --auto-repair mends them, the option of each boot leaves them
x; "$poke" x.img metadata_space_map_root.bitmap_root set 'index[0].nr_free=3'; cp x.img before
is 0 "a free count" "$check" --clear-needs-check-flag x.img; says err "[nr-free]" "a free count"; same x.img before "a free count"
is 0 "a free count" "$check" --auto-repair x.img; is 0 "a free count" "$check" x.img; silent err "a free count"
# nothing is written to what may not be
x; set_flag; "$poke" x.img 0 set compat_ro_flags=4; cp x.img before
is 1 "features forbid it" "$check" --clear-needs-check-flag x.img; same x.img before "features forbid it"
# what has no name is kept
x; set_flag; "$poke" x.img 0 set uuid=00112233445566778899aabbccddeeff compat_flags=64; cp x.img before
is 0 "unknown bytes" "$check" --clear-needs-check-flag x.img; "$poke" x.img 0 set flags=1; same x.img before "unknown bytes"
for o in --clear-needs-check-flag --auto-repair; do
	cp bad.img x.img; "$poke" x.img 0 set flags=1; cp x.img before
	is 1 "damage $o" "$check" $o x.img; same x.img before "damage $o"
done
if can_be_user; then
	x; set_flag; chmod 444 x.img
	is 0 "read only" as_user "$check" x.img; is 0 "read only" as_user "$check" --skip-mappings x.img
	is 1 "no permission to write" as_user "$check" --clear-needs-check-flag x.img; says err "Permission denied" "no permission to write"
	chmod 644 x.img
else
	skipped=$((skipped + 1))
fi

# ---- other roots ----
x; mapping=$(number data_mapping_root) details=$(number device_details_root)
"$poke" x.img 0 set data_mapping_root=7777 device_details_root=8888
is 1 "roots lost" "$check" x.img
is 0 "roots given" "$check" --ignore-non-fatal-errors --override-mapping-root "$mapping" --override-details-root "$details" x.img
is 0 "roots given" "$check" --override-mapping-root="$mapping" --override-details-root="$details" good.img
is 1 "a root that is none" "$check" --override-mapping-root 1 good.img
is 1 "a root beyond" "$check" --override-details-root 18446744073709551615 good.img

# ---- the metadata snapshot ----
is 1 "no snapshot" "$check" -m good.img; says err "no current metadata snap" "no snapshot"; silent out "no snapshot"
for o in -m --metadata-snap --metadata-snapshot; do
	is 0 "$o" "$check" snap.img $o; silent err "$o"
	lacks out METADATA_FREE_BLOCKS "$o"
	says out "TRANSACTION_ID=$("$poke" snap.img held_root show trans_id | cut -d= -f2)" "$o"
done
cp snap.img x.img; for f in device_details_root metadata_space_map_root.bitmap_root data_space_map_root.bitmap_root; do "$poke" x.img $f corrupt; done
is 1 "live trees damaged" "$check" x.img; is 0 "live trees damaged, -m" "$check" x.img -m; silent err "live trees damaged, -m"
cp snap.img x.img; "$poke" x.img held_root corrupt
is 1 "the snapshot's superblock" "$check" -m x.img; silent out "the snapshot's superblock"
is 1 "the snapshot's superblock" "$check" x.img; says out TRANSACTION_ID= "the snapshot's superblock"
is 1 "it is kept" "$check" --auto-repair x.img; is 0 "and not always looked at" "$check" --skip-mappings x.img
cp snap.img x.img; "$poke" x.img held_root/device_details_root corrupt
is 1 "the snapshot's details" "$check" -m x.img; is 1 "the snapshot's details" "$check" x.img; says err "snapshot" "the snapshot's details"
x; "$poke" x.img 0 set held_root=99999
is 1 "a snapshot beyond" "$check" x.img; is 1 "a snapshot beyond" "$check" -m x.img; silent out "a snapshot beyond"

# ---- sizes ----
x; truncate -s +100 x.img; is 0 "part of a block" "$check" x.img
x; truncate -s +1M x.img; is 0 "a device that grew" "$check" x.img; same out want "a device that grew"
x; truncate -s 40K x.img; is 1 "a device cut off" "$check" x.img
finish
