#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The clone commands: metadata of a real kernel with 239 of 2048 regions hydrated, generated ones with several
# array blocks, and what is left of both after damage.
set -u
tools=${1:-${tools:-../tools}}
tools=$(cd "$tools" && pwd)
here=$(cd "$(dirname -- "$0")" && pwd)
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
cd "$w" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); }
no() { failed=$((failed + 1)); echo "FAIL $*"; }
is()
{
	local want=$1 what=$2 r
	shift 2
	"$@" >out 2>err </dev/null
	r=$?
	[ "$r" = "$want" ] && { ok; return; }
	no "$what: status $r, not $want: $* $(head -c 300 err)"
}
says() { if grep -qF -- "$2" "$1"; then ok; else no "$3: '$2' is not in $1: $(head -c 300 "$1")"; fi; }
silent() { if [ ! -s "$1" ]; then ok; else no "$2: $1 says: $(head -c 200 "$1")"; fi; }
same() { if cmp -s "$1" "$2"; then ok; else no "$3: $1 and $2 differ"; fi; }
fresh() { rm -f "$1" && truncate -s 4M "$1"; }
spoil() { perl -e 'srand(5); print pack("C*", map { int rand 256 } 1 .. 4096)' | dd of="$1" bs=4096 seek="$2" conv=notrunc status=none; }

xz -dc "$here/../images/sample/clone.img.xz" >k.img
is 0 "check" "$tools/clone_check" k.img; silent err "check"
printf 'HYDRATED_REGIONS=239\nNR_REGIONS=2048\n' >want; same out want "what clone_check prints"
is 0 "superblock alone" "$tools/clone_check" --super-block-only k.img; echo NR_REGIONS=2048 >want; same out want "what it prints then"
is 0 "check -q" "$tools/clone_check" -q k.img; silent out "-q"
is 0 "dump" "$tools/clone_dump" k.img; silent err "dump"; cp out k.xml
says k.xml 'region_size="64" target_size="131072" nr_regions="2048" nr_hydrated="239"' "dump"
[ "$(tail -c 1 k.xml)" = ">" ] && ok || no "a dump ends with a newline"

"$tools/clone_generate_metadata" -o /dev/null --format 2>/dev/null && no "generate to a character device" || ok
fresh g.img
is 0 "generate" "$tools/clone_generate_metadata" -o g.img --format --region-size 8 --target-size 800000 --percent-hydrated 40 --seed 3
is 0 "dump generated" "$tools/clone_dump" g.img; cp out g.xml
for k in k g; do
	fresh o.img
	is 0 "restore $k" "$tools/clone_restore" -i $k.xml -o o.img; silent out restore; silent err restore
	is 0 "check restored $k" "$tools/clone_check" o.img; silent err "check restored"
	is 0 "dump restored $k" "$tools/clone_dump" o.img; same out $k.xml "dump, restore, dump"
	fresh o.img
	is 0 "repair $k" "$tools/clone_repair" -i $k.img -o o.img --report r.json; silent err "repair of sound metadata"
	is 0 "dump repaired $k" "$tools/clone_dump" o.img; same out $k.xml "repair keeps all"
	says r.json '"lost_regions": 0' "report"
done
gzip -c k.xml >k.xml.gz; fresh o.img
is 0 "restore .gz" "$tools/clone_restore" -i k.xml.gz -o o.img
is 0 "dump" "$tools/clone_dump" o.img; same out k.xml "from .gz"

# XML that says what cannot be
bad()
{
	fresh o.img
	printf '%s' "$2" >bad.xml
	is 1 "$1" "$tools/clone_restore" -i bad.xml -o o.img
	[ -s err ] && ok || no "$1: nothing said"
	"$tools/clone_check" -q o.img 2>/dev/null && no "$1: the output looks valid" || ok
}
sb() { echo "<superblock uuid=\"\" region_size=\"$1\" target_size=\"$2\" ${4-}><hydrated>$3</hydrated></superblock>"; }
bad "region size" "$(sb 9 800 '')"
bad "target size 0" "$(sb 8 0 '')"
bad "too many regions" "$(sb 8 18446744073709551615 '')"
bad "range past the end" "$(sb 8 800 '<range begin="90" end="101"/>')"
bad "empty range" "$(sb 8 800 '<range begin="9" end="9"/>')"
bad "out of order" "$(sb 8 800 '<range begin="9" end="19"/><range begin="18" end="20"/>')"
bad "nr_regions" "$(sb 8 800 '' 'nr_regions="99"')"
bad "nr_hydrated" "$(sb 8 800 '<range begin="0" end="3"/>' 'nr_hydrated="2"')"
bad "cut short" '<superblock uuid="" region_size="8" target_size="800"><hydrated>'
fresh o.img
sb 8 800 '<range begin="0" end="100"/>' >full.xml
is 0 "a full one" "$tools/clone_restore" -i full.xml -o o.img
is 0 "check" "$tools/clone_check" o.img; says out HYDRATED_REGIONS=100 "a full one"
head -c 8192 /dev/zero >small.img
is 1 "too small" "$tools/clone_restore" -i full.xml -o small.img; says err "are needed" "too small"

# part of the bitset is lost: 100000 regions are four array blocks, which a restorer writes first
cp g.img d.img
spoil d.img 2
cp d.img before.img
is 1 "check damaged" "$tools/clone_check" d.img; says err "region bitset" "check damaged"; says err "regions [" "check"
is 1 "dump damaged" "$tools/clone_dump" d.img; silent out "a damaged dump"
is 1 "dump -r, nothing chosen" "$tools/clone_dump" -r d.img; silent out "nothing chosen"; says err "--unreadable" "dump -r"
fresh o.img; cp o.img zero.img
is 1 "repair, nothing chosen" "$tools/clone_repair" -i d.img -o o.img; says err "--unreadable" "repair"
same o.img zero.img "the output stays as it was"
is 64 "another word" "$tools/clone_repair" -i d.img -o o.img --unreadable perhaps
for u in hydrated unhydrated; do
	fresh o.img
	is 0 "repair $u" "$tools/clone_repair" -i d.img -o o.img --unreadable $u --report r.json
	says err "are taken for" "repair $u"; says r.json "\"lost_as\": \"$u\"" "report"; says r.json '"begin"' report
	is 0 "check it" "$tools/clone_check" o.img; grep -o '[0-9]*$' out | head -n 1 >n.$u
	is 0 "dump it" "$tools/clone_dump" o.img; cp out a.xml
	is 0 "dump -r $u" "$tools/clone_dump" -r --unreadable $u d.img; same out a.xml "dump -r is what repair writes"
	is 1 "strict" "$tools/clone_repair" --strict -i d.img -o o.img --unreadable $u
	is 0 "dry run" "$tools/clone_repair" --dry-run -i d.img --unreadable $u; says out "lost: 32576" "dry run"
done
[ $(($(cat n.hydrated) - $(cat n.unhydrated))) = 32576 ] && ok || no "hydrated and unhydrated do not differ by the block"
same d.img before.img "the input of a repair"

# the superblock is lost
cp g.img d.img; spoil d.img 0
fresh o.img; cp o.img zero.img
is 1 "no superblock" "$tools/clone_repair" -i d.img -o o.img; says err "--region-size" "no superblock"
is 1 "check" "$tools/clone_check" d.img; says err "bad checksum in superblock" "check"
is 0 "sizes given" "$tools/clone_repair" -i d.img -o o.img --region-size 8 --target-size 800000
is 0 "dump" "$tools/clone_dump" o.img; same out g.xml "from a lost superblock"
fresh o.img
is 1 "other sizes" "$tools/clone_repair" -i d.img -o o.img --region-size 8 --target-size 900000
same o.img zero.img "nothing written"
is 64 "half the sizes" "$tools/clone_repair" -i d.img -o o.img --region-size 8
is 1 "sizes against the superblock" "$tools/clone_repair" -i g.img -o o.img --region-size 16 --target-size 800000
spoil d.img 2
is 1 "nor a bitset" "$tools/clone_repair" -i d.img -o o.img --region-size 8 --target-size 800000 --unreadable hydrated

# bits are only ever set: what has none that the bitset lacks is older; what has others may be part of a later one
root=$("$tools/pdata_poke" g.img 0 show bitset_root | sed 's/.*=//')
lost_superblock() { spoil d.img 0; fresh o.img; "$tools/clone_repair" -i d.img -o o.img --region-size 8 --target-size 800000 >out 2>err; }
cp g.img d.img
is 0 "copy" "$tools/pdata_poke" d.img "$root/values[0]" copy 900
is 0 "older" "$tools/pdata_poke" d.img 900 set blocknr=900 "values[0]=0" "values[7]=0"
if lost_superblock; then ok; else no "an older block stands in the way: $(cat err)"; fi
is 0 "dump" "$tools/clone_dump" o.img; same out g.xml "beside an older block"
cp g.img d.img
is 0 "copy" "$tools/pdata_poke" d.img "$root/values[0]" copy 900
is 0 "later" "$tools/pdata_poke" d.img 900 set blocknr=900 "values[3]=18446744073709551615" "values[4]=18446744073709551615" "values[5]=18446744073709551615"
if lost_superblock; then no "a bitset that may be an older one is taken"; else ok; fi
says err "block 900 may be part of a later bitset" "a later block"; cmp -s o.img zero.img || no "something was written"
cp g.img d.img
is 0 "copy" "$tools/pdata_poke" d.img "$root" copy 901
is 0 "damaged" "$tools/pdata_poke" d.img 901 set blocknr=901 "values[1]=902"
if lost_superblock; then no "a bitset beside a damaged one is taken"; else ok; fi
says err "a damaged one, which may be later" "a damaged bitset"

# a leak is mended, in place, only if asked
cp k.img l.img
is 0 "look" "$tools/pdata_tools_dev" thin_generate_damage -o l.img --create-metadata-leaks --expected 0 --actual 1 --nr-blocks 3
is 1 "leaks" "$tools/clone_check" l.img; says err "[leak]" "leaks"
is 0 "ignored" "$tools/clone_check" --ignore-non-fatal-errors l.img
is 0 "mended" "$tools/clone_check" --auto-repair l.img
is 0 "clean" "$tools/clone_check" l.img; silent err "mended"
is 0 "dump" "$tools/clone_dump" l.img; same out k.xml "mending changes no region"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
