#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The cache commands on metadata of a real kernel, after a clean shutdown and after a power cut.
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
says() { if grep -qF -- "$2" "$1"; then ok; else no "$3: '$2' is not in $1: $(head -c 200 "$1")"; fi; }
silent() { if [ ! -s "$1" ]; then ok; else no "$2: $1 says: $(head -c 200 "$1")"; fi; }
same() { if cmp -s "$1" "$2"; then ok; else no "$3: $1 and $2 differ"; fi; }
fresh() { rm -f "$1" && truncate -s 4M "$1"; }
le64() { od -An -v -t u8 -j "$2" -N 8 "$1" | tr -d ' '; }
spoil() { perl -e 'srand(5); print pack("C*", map { int rand 256 } 1 .. 4096)' | dd of="$1" bs=4096 seek="$2" conv=notrunc status=none; }

for kind in clean unclean; do
	xz -dc "$here/../images/sample/cache-$kind.img.xz" >$kind.img
	is 0 "check $kind" "$tools/cache_check" $kind.img; silent out "check $kind"; silent err "check $kind"
	is 0 "dump $kind" "$tools/cache_dump" $kind.img; silent err "dump $kind"; cp out $kind.xml
	[ "$(tail -c 1 $kind.xml)" = ">" ] && ok || no "a dump ends with a newline"
	for v in 1 2; do
		fresh o.img
		is 0 "restore $kind $v" "$tools/cache_restore" -i $kind.xml -o o.img --metadata-version $v; silent out restore; silent err restore
		is 0 "check of it" "$tools/cache_check" o.img; silent err "check of it"
		is 0 "dump of it" "$tools/cache_dump" o.img; same out $kind.xml "dump, restore, dump $kind $v"
	done
	fresh o.img
	is 0 "repair $kind" "$tools/cache_repair" "" -i $kind.img -o o.img; silent err "repair $kind"
	is 0 "dump of the repaired" "$tools/cache_dump" o.img; same out $kind.xml "repair $kind"
done
is 0 status "$tools/cache_check" --status clean.img; says out "CLEAN_SHUTDOWN=1" status; says out "DIRTY_BLOCKS=30" status
# nothing may come out clean of a cache that was not shut down
if grep -q 'dirty="false"' unclean.xml; then no "a block of an unclean cache is called clean"; else ok; fi

# damage
poke() { "$tools/pdata_poke" "$@" || no "pdata_poke $*"; }
cp clean.img m.img && poke m.img 'mapping_root/values[0]' corrupt
is 1 "mappings lost" "$tools/cache_check" m.img; says err "mapping array" "mappings lost"
is 1 "dump of it" "$tools/cache_dump" m.img
is 1 "repair of it" "$tools/cache_repair" -i m.img -o o.img; says err "no mapping can be saved" "repair of it"
cp clean.img h.img && spoil h.img "$(le64 clean.img 200)"
is 1 "hints lost" "$tools/cache_check" h.img
is 0 "hints skipped" "$tools/cache_check" --skip-hints h.img
cp clean.img m.img && spoil m.img "$(le64 clean.img 192)"
is 1 "index lost" "$tools/cache_check" m.img; is 0 "its array block is found" "$tools/cache_dump" --repair m.img; silent err "index lost"; same out clean.xml "index lost"
fresh o.img
is 0 "repair without hints" "$tools/cache_repair" -i h.img -o o.img; is 0 check "$tools/cache_check" -q o.img
is 1 "strict" "$tools/cache_repair" --strict -i h.img -o o.img
is 0 "report" "$tools/cache_repair" --dry-run --report r.json -i h.img
says r.json '"kept": 256, "lost": []' report; says r.json '"hints": {"lost": [{"begin": 0, "end": ' report
cp clean.img d.img && spoil d.img "$(le64 clean.img 284)"
fresh o.img
is 0 "repair without dirty bits" "$tools/cache_repair" -i d.img -o o.img
is 0 "all dirty then" "$tools/cache_check" --status o.img; says out "DIRTY_BLOCKS=256" "all dirty then"

# a lost superblock
for kind in clean unclean; do
	cp $kind.img s.img; spoil s.img 0
	read -r size nr < <("$tools/cache_dump" $kind.img | sed -n 's/.* block_size="\([0-9]*\)" nr_cache_blocks="\([0-9]*\)".*/\1 \2/p')
	fresh o.img; cp o.img before.img
	is 1 "no superblock" "$tools/cache_repair" -i s.img -o o.img; says err "--nr-cache-blocks" "no superblock"
	same o.img before.img "the output of a repair that failed"
	is 0 "sizes given" "$tools/cache_repair" -i s.img -o o.img --block-size "$size" --nr-cache-blocks "$nr"
	says err "count as dirty" "sizes given"
	is 0 "check" "$tools/cache_check" o.img; silent err "check"
	is 0 "dump" "$tools/cache_dump" o.img
	grep -o '<mapping .*' $kind.xml | sed 's/dirty="false"/dirty="true"/' >want
	grep -o '<mapping .*' out >got; same got want "mappings from a lost superblock"
	is 1 strict "$tools/cache_repair" --strict -i s.img -o o.img --block-size "$size" --nr-cache-blocks "$nr"
	is 1 "other sizes" "$tools/cache_repair" -i s.img -o o.img --block-size "$size" --nr-cache-blocks $((nr + 1))
	says err "no mapping array fits" "other sizes"
done
is 64 "half the sizes" "$tools/cache_repair" -i s.img -o o.img --block-size 128
is 1 "sizes against the superblock" "$tools/cache_repair" -i clean.img -o o.img --block-size 128 --nr-cache-blocks 7

# two cache blocks claim one origin block: nothing tells which is right
cp clean.img t.img; "$tools/pdata_poke" t.img 'mapping_root/values[0]' set "$("$tools/pdata_poke" clean.img 'mapping_root/values[0]' show 'values[1]' | sed s/1/200/)" || no poke
is 1 "cached twice" "$tools/cache_check" t.img; says err "blocks [200, 201): the origin block is cached twice" "cached twice"
is 0 "repair of it" "$tools/cache_repair" -i t.img -o o.img --report r.json; says err "blocks [1, 2)" "repair of it"
says r.json '"kept": 254, "lost": [{"begin": 1, "end": 2, ' "report of it"
is 0 "check" "$tools/cache_check" o.img; is 0 "dump" "$tools/cache_dump" o.img
sed '/cache_block="\(1\|200\)"/d' clean.xml >want; same out want "what is left of it"
is 0 "dump of it" "$tools/cache_dump" --repair t.img; same out want "the same as text"

# the flag and leaks
if [ -x "$tools/thin_generate_damage" ]; then
	cp clean.img l.img
	is 0 leaks "$tools/thin_generate_damage" -o l.img --create-metadata-leaks --expected 0 --actual 1 --nr-blocks 7
	is 1 leaks "$tools/cache_check" -q l.img
	is 0 "leaks ignored" "$tools/cache_check" -q --ignore-non-fatal-errors l.img
	is 0 "leaks mended" "$tools/cache_check" --clear-needs-check-flag l.img
	is 0 "leaks gone" "$tools/cache_check" l.img; silent err "leaks gone"
fi
before=$(cksum <clean.img)
is 0 "healthy, no flag" "$tools/cache_check" -q --clear-needs-check-flag clean.img
is 0 "healthy, no flag" "$tools/cache_check" -q --auto-repair clean.img
[ "$(cksum <clean.img)" = "$before" ] && ok || no "healthy metadata was written to"

# what restore refuses
head='<superblock uuid="" block_size="128" nr_cache_blocks="8" policy="smq" hint_width="4"><mappings>'
tail='</mappings><hints></hints></superblock>'
m() { printf '<mapping cache_block="%s" origin_block="%s" dirty="false"/>' "$1" "$2"; }
refused()
{
	printf '%s' "$2" >x.xml
	fresh o.img
	is 1 "$1" "$tools/cache_restore" -i x.xml -o o.img
	is 1 "$1: output" "$tools/cache_check" -q o.img
}
refused "cache block beyond" "$head$(m 8 1)$tail"
refused "cache block twice" "$head$(m 3 1)$(m 3 2)$tail"
refused "origin block twice" "$head$(m 3 7)$(m 5 7)$tail"
refused "origin block too large" "$head$(m 3 281474976710656)$tail"
refused "hint too long" "$head</mappings><hints><hint cache_block=\"1\" data=\"AQAAAAAA\"/></hints></superblock>"
refused "bad base64" "$head</mappings><hints><hint cache_block=\"1\" data=\"A*\"/></hints></superblock>"
refused "hint width" "${head/hint_width=\"4\"/hint_width=\"8\"}$tail"
refused "block size" "${head/block_size=\"128\"/block_size=\"32\"}$tail"
printf '%s' "$head$(m 3 7)</mappings><hints></hints><discards><discard dbegin=\"1\" dend=\"3\"/></discards></superblock>" >x.xml
is 0 "discards are read" "$tools/cache_restore" -i x.xml -o o.img
is 0 "check" "$tools/cache_check" o.img; silent err check
is 64 "version 3" "$tools/cache_restore" --metadata-version 3 -i x.xml -o o.img
is 0 "odd version" "$tools/cache_restore" --debug-override-metadata-version 3 -i x.xml -o o.img
is 1 "odd version" "$tools/cache_check" o.img
[ "$("$tools/cache_metadata_size" --nr-blocks 1024)" = "8248 sectors" ] && ok || no "cache_metadata_size"
[ "$("$tools/cache_metadata_size" --device-size 65536 --block-size 64)" = "8248 sectors" ] && ok || no "cache_metadata_size"

# cache_writeback: eight blocks of 32 KiB, four mapped, dirty ones copied to where they belong
block() { perl -e 'print chr(97 + $ARGV[0]) x 32768' "$1"; }
for b in 0 1 2 3 4 5 6 7; do block $b; done >fast
{
	echo '<superblock uuid="" block_size="64" nr_cache_blocks="8" policy="smq" hint_width="4"><mappings>'
	echo '<mapping cache_block="0" origin_block="5" dirty="true"/><mapping cache_block="2" origin_block="6" dirty="true"/>'
	echo '<mapping cache_block="3" origin_block="1" dirty="false"/><mapping cache_block="7" origin_block="9" dirty="true"/>'
	echo '</mappings></superblock>'
} >wb.xml
# the origin's block N holds N + 10, the last is short: 9.5 blocks
origin() { rm -f origin; for b in 10 11 12 13 14 15 16 17 18 19; do block $b; done | head -c 311296 >origin; }
# letters of the origin's blocks
letters() { perl -e 'local $/; $_ = <>; for ($i = 0; $i < length; $i += 32768) { print substr($_, $i, 1) }' origin; }
wb() { "$tools/cache_writeback" --metadata-device o.img --origin-device origin --fast-device fast "$@"; }
for v in 1 2; do
	fresh o.img; origin
	is 0 "restore" "$tools/cache_restore" -i wb.xml -o o.img --metadata-version $v
	cp o.img before.img
	is 0 "no update" wb --no-metadata-update; same o.img before.img "--no-metadata-update"
	[ "$(letters)" = klmnoacrsh ] && ok || no "writeback $v: $(letters)"
	[ "$(stat -c %s origin)" = 311296 ] && ok || no "the origin has grown"
	origin
	is 0 "writeback $v" wb; says out "3/3 blocks successfully copied" writeback; silent err writeback
	[ "$(letters)" = klmnoacrsh ] && ok || no "writeback $v: $(letters)"
	is 0 "check" "$tools/cache_check" --status o.img; silent err "check"; says out DIRTY_BLOCKS=0 "dirty bits"
	is 0 "dump" "$tools/cache_dump" o.img; says out '<mapping cache_block="7" origin_block="9" dirty="false"/>' dump
	is 0 "again" wb -q; silent out "-q"
	is 0 "nothing dirty" wb; says out "0/0 blocks" "nothing dirty"
	# after an unclean shutdown all that is mapped is copied
	fresh o.img; origin
	is 0 "restore" "$tools/cache_restore" -i wb.xml -o o.img --metadata-version $v --omit-clean-shutdown
	is 0 "unclean" wb; says out "4/4 blocks" "unclean"
	[ "$(letters)" = kdmnoacrsh ] && ok || no "unclean $v: $(letters)"
	# offsets; then an origin that ends before block 9
	fresh o.img; origin
	"$tools/cache_restore" -i wb.xml -o o.img --metadata-version $v
	is 1 "too small" wb --origin-device-offset 64 --list-failed-blocks --retry-count 1
	says out "7 9" "failed blocks"; says out "2/3 blocks" "too small"; says err "stay dirty" "too small"
	[ "$(letters)" = klmnopacst ] && ok || no "offset $v: $(letters)"
	is 0 "check" "$tools/cache_check" --status o.img; says out DIRTY_BLOCKS=1 "only copied blocks become clean"
	is 1 "odd offset" wb --origin-device-offset 4; says err "offsets must be page aligned" "odd offset"
	# damaged metadata: nothing is touched
	cp before.img o.img; "$tools/pdata_poke" o.img mapping_root/values[0] corrupt >/dev/null 2>&1 || no "poke"; cp o.img bad.img; origin; cp origin origin.was
	is 1 "damaged" wb; says err "cache_check gives details" damaged; same origin origin.was "the origin"; same o.img bad.img "the metadata"
done
# Metadata for tests: what was asked for is there, and so is what was made wrong.
gen() { "$tools/cache_generate_metadata" "$@"; }
for v in 1 2; do
	fresh g.img
	is 0 "generate $v" gen -o g.img --format --metadata-version $v --nr-cache-blocks 5000 --nr-origin-blocks 90001 --percent-resident 70 --percent-dirty 30 --hotspot-size 7
	is 0 "check it" "$tools/cache_check" --status g.img; silent err "generated $v"
	says out MAPPED_BLOCKS=3500 "generated $v"; says out DIRTY_BLOCKS=1050 "generated $v"
	is 0 "dump it" "$tools/cache_dump" g.img; cp out g.xml
	[ "$(grep -c '<mapping ' g.xml)/$(grep -c '<hint ' g.xml)/$(grep -c 'dirty="true"' g.xml)" = 3500/3500/1050 ] && ok || no "generated $v: numbers of the dump"
	[ "$(sed -n 's/.*<mapping.*origin_block="\([0-9]*\)".*/\1/p' g.xml | awk '$1 > 90000' | wc -l)" = 0 ] && ok || no "an origin block out of bounds"
	fresh h.img
	is 0 "restore it" "$tools/cache_restore" -i g.xml -o h.img --metadata-version $v
	is 0 "dump that" "$tools/cache_dump" h.img; same out g.xml "generate, dump, restore, dump $v"
	is 0 "crash it" gen -o g.img --set-clean-shutdown=false
	is 0 "check it" "$tools/cache_check" --status g.img; says out DIRTY_BLOCKS=3500 "an unclean shutdown makes all dirty"
	is 0 "leaks" "$tools/cache_generate_damage" -o g.img --create-metadata-leaks --expected 0 --actual 1 --nr-blocks 6
	is 1 "check" "$tools/cache_check" g.img; says err leak "leaks of a generated cache"
	is 0 "flag" gen -o g.img --set-needs-check
	is 0 "clear" "$tools/cache_check" --clear-needs-check-flag --auto-repair g.img
	is 0 "check" "$tools/cache_check" g.img
	is 0 "version" gen -o g.img --set-superblock-version 12345
	is 1 "check" "$tools/cache_check" g.img
done
fresh g.img; cp g.img g.was
is 1 "too many percent" gen -o g.img --format --percent-dirty 101
is 1 "no room at the origin" gen -o g.img --format --nr-origin-blocks 10
is 1 "no hot spot" gen -o g.img --format --hotspot-size 0
is 1 "no such version" gen -o g.img --format --metadata-version 3
is 1 "no such block size" gen -o g.img --format --cache-block-size 3
is 64 "no such flag" gen -o g.img --set-needs-check=maybe
is 64 "nothing to do" gen -o g.img
same g.img g.was "a refusal writes nothing"
is 64 "nothing to damage" "$tools/cache_generate_damage" -o g.img
is 1 "no such file" gen -o none.img --format
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
