#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Sizes that are only claimed: by superblocks and space maps, by text, by compressed text. None of them may cost time or
# memory that what is really there does not. Bounds of memory are those of the manual's promises, for small metadata.
set -u
tools=$(cd "${tools:-../tools}" && pwd)
bounded=$PWD/fault/bounded
here=$(cd "$(dirname -- "$0")" && pwd)
dev=$tools/pdata_tools_dev
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
cd "$w" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); }
no() { failed=$((failed + 1)); echo "FAIL $*"; }

# sanitizers have memory and time of their own
slower=1
! grep -qa __asan_init "$tools/pdata_tools" || slower=5
mib() { if [ $slower = 1 ]; then echo "$1"; else echo 100000; fi; }
check_mib=$(mib 66) repair_mib=$(mib 130)

# bound STATUSES MIB WHAT COMMAND...: ends with one of the statuses, and within bounds
bound()
{
	local statuses=$1 mib=$2 what=$3 r
	shift 3
	"$bounded" $((slower * ${seconds:-4})) "$mib" "$@" >/dev/null 2>said
	r=$?
	[ -z "${BOUNDED_SAY-}" ] || { echo -n "$what: "; tail -n 1 said; }
	case " $statuses " in
	*" $r "*) ok ;;
	*) no "$what: status $r: $(tail -n 3 said | cut -c 1-300)" ;;
	esac
}

# all TYPE WHAT IMAGE: everything that reads or mends it
all()
{
	local t=$1 what=$2
	bound "0 1" "$check_mib" "$what, check" "$tools/${t}_check" "$3"
	bound "0 1" "$check_mib" "$what, dump" "$tools/${t}_dump" "$3"
	bound "0 1" "$repair_mib" "$what, repair" "$tools/${t}_repair" -i "$3" -o out.img
	case $t in
	thin)	bound "0 1" "$repair_mib" "$what, dump --repair" "$tools/thin_dump" --repair "$3"
		cp "$3" copy.img; bound "0 1" "$repair_mib" "$what, in place" "$tools/thin_repair" --in-place copy.img
		cp "$3" copy.img; bound "0 1" "$repair_mib" "$what, auto-repair" "$tools/thin_check" --auto-repair copy.img ;;
	cache)	bound "0 1" "$repair_mib" "$what, dump --repair" "$tools/cache_dump" --repair "$3" ;;
	era)	bound "0 1" "$repair_mib" "$what, invalidate" "$tools/era_invalidate" --written-since 1 "$3" ;;
	clone)	bound "0 1" "$repair_mib" "$what, dump --repair" "$tools/clone_dump" --repair --unreadable hydrated "$3" ;;
	esac
}

for i in healthy cache-clean era clone; do
	xz -dc "$here/../images/sample/$i.img.xz" >"${i%-clean}.img" || exit 1
done
mv healthy.img thin.img
truncate -s 4M out.img

# ---- Claims of superblocks and space maps ----

for t in thin cache era clone; do
	for n in 1099511627776 18446744073709551615; do
		for root in metadata_space_map_root data_space_map_root; do
			[ $t = thin ] || [ $root = metadata_space_map_root ] || continue
			cp $t.img a.img
			"$dev" pdata_poke a.img 0 set $root.nr_blocks="$n" || no "poke"
			all $t "$t, $root.nr_blocks=$n" a.img
		done
	done
done
claim()
{
	cp "$1.img" a.img
	"$dev" pdata_poke a.img 0 set "${@:2}" || no "poke $*"
	all "$1" "$*" a.img
}
claim cache cache_blocks=4294967295
claim cache discard_nr_blocks=18446744073709551615
claim era nr_blocks=2147483647
claim era nr_blocks=4294967295
claim era current_writeset.nr_bits=4294967295
claim clone target_size=137438953464 region_size=64
claim clone target_size=18446744073709551615 region_size=8

# ---- The largest metadata there is, nearly all of it a hole ----

truncate -s 17045913600 huge.img
"$tools/thin_dump" thin.img >thin.xml
seconds=20
bound 0 "$(mib 384)" "16 GiB, restore" "$tools/thin_restore" -i thin.xml -o huge.img
bound 0 "$(mib 320)" "16 GiB, check" "$tools/thin_check" huge.img
bound 0 "$(mib 320)" "16 GiB, dump" "$tools/thin_dump" huge.img
bound 0 "$(mib 384)" "16 GiB, repair" "$tools/thin_repair" -i huge.img -o out.img
bound 0 "$(mib 384)" "16 GiB, dump --repair" "$tools/thin_dump" --repair huge.img
"$dev" pdata_poke huge.img 0 zero
# every block is looked at: a minute, by hand
[ -z "${LONG-}" ] || seconds=100 bound 0 "$(mib 384)" "16 GiB without superblock" "$tools/thin_repair" --data-block-size 128 --nr-data-blocks 4096 -i huge.img -o out.img
rm huge.img
seconds=4

# ---- Text ----

# a pool's data blocks have a byte each, where runs are mapped: 2^32 of them are 4 GiB of allowance, not used
text() { bound 1 "$(mib 140)" "$1" "$tools/$2_restore" -i - -o out.img; }
seconds=20
for n in 4294967295 1099511627776 18446744073709551615 340282366920938463463374607431768211456; do
	text "thin text of $n" thin <<<"<superblock uuid=\"\" time=\"0\" transaction=\"1\" data_block_size=\"128\" nr_data_blocks=\"$n\"><device dev_id=\"1\" mapped_blocks=\"$n\" transaction=\"0\" creation_time=\"0\" snap_time=\"0\"><range_mapping origin_begin=\"0\" data_begin=\"0\" length=\"$n\" time=\"0\"/></device></superblock>"
	text "cache text of $n" cache <<<"<superblock uuid=\"\" block_size=\"128\" nr_cache_blocks=\"$n\" policy=\"smq\" hint_width=\"4\"><mappings></mappings><hints></hints></superblock>"
	text "era text of $n" era <<<"<superblock uuid=\"\" block_size=\"128\" nr_blocks=\"$n\" current_era=\"2\"><writeset era=\"1\" nr_bits=\"$n\"></writeset><era_array></era_array></superblock>"
	text "clone text of $n" clone <<<"<superblock uuid=\"\" region_size=\"8\" target_size=\"$n\" nr_regions=\"$n\" nr_hydrated=\"$n\"><hydrated><range begin=\"0\" end=\"$n\"/></hydrated></superblock>"
done
for t in thin cache era clone; do
	{ printf '<superblock uuid="'; head -c 3000000 /dev/zero | tr '\0' a; printf '"/>'; } >long.xml
	bound 1 "$repair_mib" "$t: an attribute of 3 MB" "$tools/${t}_restore" -i long.xml -o out.img
	{ printf '<'; head -c 3000000 /dev/zero | tr '\0' a; printf '/>'; } >long.xml
	bound 1 "$repair_mib" "$t: a name of 3 MB" "$tools/${t}_restore" -i long.xml -o out.img
	{ printf '<superblock '; seq -f 'a%.0f="1"' 50000; printf '/>'; } >long.xml
	bound 1 "$repair_mib" "$t: 50,000 attributes" "$tools/${t}_restore" -i long.xml -o out.img
	yes '<superblock>' | head -n 200000 >deep.xml
	bound 1 "$repair_mib" "$t: depth" "$tools/${t}_restore" -i deep.xml -o out.img
	{ echo '<!DOCTYPE superblock [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">'
	  for i in b c d e f g h i j k; do p=$(tr b-k a-j <<<$i); echo "<!ENTITY $i \"&$p;&$p;&$p;&$p;&$p;&$p;&$p;&$p;&$p;&$p;\">"; done
	  echo ']><superblock uuid="&k;"/>'; } >bomb.xml
	bound 1 "$repair_mib" "$t: entities" "$tools/${t}_restore" -i bomb.xml -o out.img
	{ printf '<!--'; head -c 20000000 /dev/zero | tr '\0' ' '; printf -- '--><superblock'; } >long.xml
	bound 1 "$repair_mib" "$t: a comment of 20 MB" "$tools/${t}_restore" -i long.xml -o out.img
done

# A gigabyte of blanks in a thousandth of it.
head -c 16777216 /dev/zero | tr '\0' ' ' | gzip -9 >blanks.gz
{ head -n 2 thin.xml | gzip -c; for i in {1..64}; do cat blanks.gz; done; } >bomb.gz
seconds=20
bound 1 "$repair_mib" "a gigabyte of blanks, compressed" "$tools/thin_restore" -i bomb.gz -o out.img

echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
