#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# thin_repair and thin_dump --repair: what they keep, say and refuse; repair in place.
# shellcheck source=/dev/null
. "$(dirname -- "$0")/lib.sh"
# le64 FILE BYTE; spoil FILE BLOCK
le64() { od -An -v -t u8 -j "$2" -N 8 "$1" | tr -d ' '; }
spoil() { perl -e 'srand(5); print pack("C*", map { int rand 256 } 1 .. 4096)' | dd of="$1" bs=4096 seek="$2" conv=notrunc status=none; }

sample healthy >good.img
sample damaged >bad.img
head -c 65536 /dev/zero >zeros.img
printf '<superblock/>%8192s' ' ' >text.xml
"$tools/thin_dump" good.img >good.xml || no "no dump of the sample"
first=$(head -n 1 good.xml)

# healthy metadata comes out as it was, without a word
before=$(cksum <good.img)
fresh o.img 8M
is 0 healthy "$tools/thin_repair" -i good.img -o o.img; silent out healthy; silent err healthy
is 0 "check of the result" "$tools/thin_check" -q o.img
is 0 "healthy, empty operand" "$tools/thin_repair" "" -i good.img -o o.img
is 0 "dump --repair" "$tools/thin_dump" --repair good.img; silent err "dump --repair"; same out good.xml "dump --repair"
[ "$(cksum <good.img)" = "$before" ] && ok || no "the input was written to"
is 0 override "$tools/thin_dump" --repair --transaction-id 2345 good.img; says out 'transaction="2345"' override

# one lost leaf
fresh o.img 8M
is 0 damaged "$tools/thin_repair" -i bad.img -o o.img --report r.json
says err "block-checksum" damaged; says err "thin device 2" damaged
is 0 "check of what was saved" "$tools/thin_check" -q o.img
says r.json '"format": 1' report; says r.json '"kept": 183' report; says r.json '"block": 46' report
fresh o.img 8M
is 1 strict "$tools/thin_repair" --strict -i bad.img -o o.img
is 0 "dry run" "$tools/thin_repair" --dry-run -i bad.img; says out "mappings kept: " "dry run"; says out "metadata blocks needed: " "dry run"; says out "generations: 0" "dry run"
is 0 "quiet" "$tools/thin_repair" -q -i bad.img -o o.img; silent err quiet

# what is refused, and that nothing is touched then
cp zeros.img z.img
is 1 zeros "$tools/thin_repair" -i zeros.img -o z.img; says err "no compatible roots found" zeros; same z.img zeros.img zeros
is 1 XML "$tools/thin_repair" -i text.xml -o z.img; same z.img zeros.img XML
is 64 "same file" "$tools/thin_repair" -i good.img -o good.img
is 64 "no output" "$tools/thin_repair" -i good.img; says err "--output <FILE>" "no output"
is 1 "no input" "$tools/thin_repair" -i nowhere -o z.img; says err "Couldn't find input file" "no input"; same z.img zeros.img "no input"
truncate -s 40960 small.img && cp small.img s.img
is 1 "too small" "$tools/thin_repair" -i good.img -o s.img; says err "are needed" "too small"; same s.img small.img "too small"

# block 0 gone
cp good.img nosb.img && dd if=/dev/zero of=nosb.img bs=4096 count=1 conv=notrunc status=none
bs=$(echo "$first" | sed 's/.*data_block_size="\([0-9]*\)".*/\1/') nr=$(echo "$first" | sed 's/.*nr_data_blocks="\([0-9]*\)".*/\1/')
fresh o.img 8M && cp o.img o0.img
is 1 "block size not known" "$tools/thin_repair" -i nosb.img -o o.img; says err "data block size" "block size not known"; same o.img o0.img "block size not known"
is 0 "live generation" "$tools/thin_dump" --repair --data-block-size "$bs" --nr-data-blocks "$nr" --transaction-id 7 --generation "$(le64 good.img 208)" nosb.img
same out good.xml "live generation"
is 1 "no such generation" "$tools/thin_dump" --repair --data-block-size "$bs" --generation 3 nosb.img
is 0 "numbers given" "$tools/thin_repair" --data-block-size "$bs" --nr-data-blocks "$nr" --transaction-id 7 -i nosb.img -o o.img
is 0 "check of it" "$tools/thin_check" -q o.img
# a flipped bit in block 0: its numbers still make sense
cp good.img flip.img && printf '\001' | dd of=flip.img bs=1 seek=4000 conv=notrunc status=none
is 0 "flipped bit" "$tools/thin_dump" --repair flip.img; same out good.xml "flipped bit"

# details lost, upper tree lost
cp good.img d.img && spoil d.img "$(le64 good.img 328)"
is 0 "details lost" "$tools/thin_dump" --repair d.img; grep -c mapping out >a; grep -c mapping good.xml | cmp -s - a && ok || no "details lost: mappings differ"
cp good.img u.img && spoil u.img "$(le64 good.img 320)"
is 0 "upper tree lost" "$tools/thin_dump" --repair u.img; same out good.xml "upper tree lost"

# an upper tree that the metadata snapshot shares is one lost parent, not two
xz -dc "$here/../images/pools/thin-metasnap-now.img.xz" >held.img && "$tools/thin_dump" held.img >held.xml
spoil held.img "$(le64 held.img 320)"
is 0 "shared upper tree lost" "$tools/thin_dump" --repair held.img; same out held.xml "shared upper tree lost"

# a pool that was empty may be so again
xz -dc "$here/../images/pools/thin-empty.img.xz" >empty.img && dd if=/dev/zero of=empty.img bs=4096 count=1 conv=notrunc status=none
fresh o.img
is 0 "empty pool" "$tools/thin_repair" --data-block-size 128 --nr-data-blocks 1024 -i empty.img -o o.img
is 0 "check of an empty pool" "$tools/thin_check" -q o.img

# upper tree and count map lost: whose trees are left nothing tells, and devices without any mapping are no result
cp good.img n.img && spoil n.img "$(le64 good.img 320)" && spoil n.img "$(le64 good.img 208)"
fresh o.img && cp o.img o0.img
is 1 "nothing to be placed" "$tools/thin_repair" -i n.img -o o.img; says err "nothing can be saved" "nothing to be placed"; same o.img o0.img "nothing to be placed"

# in place: any damage of space maps, none of trees
for at in 80 88 208 216; do
	cp good.img p.img && spoil p.img "$(le64 good.img $at)"
	is 1 "space map at $at" "$tools/thin_check" -q p.img
	is 0 "in place, $at" "$tools/thin_repair" --in-place p.img
	is 0 "check, $at" "$tools/thin_check" p.img; silent err "check, $at"
	is 0 "dump, $at" "$tools/thin_dump" p.img; same out good.xml "dump, $at"
done
if [ -x "$tools/thin_generate_damage" ]; then
	cp good.img l.img
	is 0 "lost counts" "$tools/thin_generate_damage" -o l.img --create-metadata-leaks --expected 1 --actual 0 --nr-blocks 5
	cp l.img l0.img
	is 1 "lost counts" "$tools/thin_check" --auto-repair l.img; same l.img l0.img "lost counts are not for --auto-repair"
	is 0 "lost counts in place" "$tools/thin_repair" --in-place l.img
	is 0 "lost counts mended" "$tools/thin_check" l.img; silent err "lost counts mended"
fi
# a repair in place that ends after a phase leaves what was, as far as anything reads it
cp good.img p.img && spoil p.img "$(le64 good.img 88)" && "$tools/thin_check" p.img >was 2>&1
for phase in data-space-map metadata-space-map; do
	cp p.img q.img
	is 1 "stopped after $phase" "$tools/thin_repair" --in-place --debug-stop-after $phase q.img; says err stopped "$phase"
	cmp -s p.img q.img && no "nothing was written before the end of $phase" || ok
	"$tools/thin_check" q.img >now 2>&1; same now was "check after $phase"
	is 0 "dump after $phase" "$tools/thin_dump" q.img; same out good.xml "dump after $phase"
	is 0 "again after $phase" "$tools/thin_repair" --in-place q.img
	is 0 "check of that" "$tools/thin_check" q.img; silent err "check of that, $phase"
done
is 64 "no such phase" "$tools/thin_repair" --in-place --debug-stop-after lunch p.img
cp bad.img b.img
is 1 "in place, damaged tree" "$tools/thin_repair" --in-place b.img; same b.img bad.img "in place, damaged tree"
is 64 "in place with -o" "$tools/thin_repair" --in-place -o z.img good.img

finish
