#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What holds for every command (cli contract, 1), run over all that the programs list.
# usage: common.sh TOOLSDIR
# shellcheck source=/dev/null
. "$(dirname -- "$0")/lib.sh"

sample healthy >thin.img
sample cache-clean >cache.img
sample era >era.img
sample clone >clone.img
for t in thin cache era clone; do
	"$tools/${t}_dump" $t.img >$t.xml || no "no dump of the $t sample"
done
head -c 1000 thin.img >short.img
fresh zeros.img 64K
printf ' \n\t<superblock uuid="" time="0"/>%8192s' ' ' >text.xml
{ printf '<abc'; head -c 8188 /dev/zero; } >less.img
mkdir dir
mkfifo fifo

# How a command is called so that it succeeds: its input (bin: metadata, xml, or - for none) and how
# that is given, its output (text, meta, or - for none), and what else it needs.
rows='
thin_check		bin operand	-	-
thin_dump		bin operand	text	-
thin_repair		bin -i		meta	-
thin_restore		xml -i		meta	-
cache_check		bin operand	-	-
cache_dump		bin operand	text	-
cache_repair		bin -i		meta	-
cache_restore		xml -i		meta	-
cache_metadata_size	-   -		-	--nr-blocks 100
cache_writeback		bin --metadata-device -	--origin-device origin.img --fast-device blocks.img --no-metadata-update
era_check		bin operand	-	-
era_dump		bin operand	text	-
era_invalidate		bin operand	text	--written-since 1
era_repair		bin -i		meta	-
era_restore		xml -i		meta	-
clone_check		bin operand	-	-
clone_dump		bin operand	text	-
clone_repair		bin -i		meta	-
clone_restore		xml -i		meta	-
thin_generate_metadata	-   -		meta	--format
cache_generate_metadata	-   -		meta	--format
era_generate_metadata	-   -		meta	--format
clone_generate_metadata	-   -		meta	--format --region-size 8 --target-size 8000
thin_generate_damage	-   -		meta	--override
cache_generate_damage	-   -		meta	--create-metadata-leaks --expected 0 --actual 1 --nr-blocks 1
pdata_poke		bin operand	-	-
'

# with INPUT OUTPUT: the words of the command under test, in $words; "" leaves that one out
with()
{
	words=()
	[ "$more" = - ] || read -ra words <<<"$more"
	case $how in
	-) ;;
	operand) [ -z "$1" ] || words+=("$1") ;;
	*) [ -z "$1" ] || words+=("$how" "$1") ;;
	esac
	[ "$out_kind" = - ] || [ -z "$2" ] || words+=(-o "$2")
	[ "$c" != pdata_poke ] || words+=(0 show)
}
good_out() { [ "$out_kind" = meta ] || return 0; fresh out.img; case $c in *_damage) cp "$t.img" out.img;; esac; }

# An option and its words as --help has them: "LONG METAVAR OPTIONAL", METAVAR - for a flag
options() { "$tools/$c" --help | sed -nE 's/^  (-.,|   ) --([a-z-]+)(\[=([^]]*)\]| ([^ ]+))? .*/\2 \4 \5/p' |
	awk '{ print $1, (NF > 1 ? $2 : "-") }'; }
optional() { "$tools/$c" --help | grep -q -- "--$1\[="; }

help_and_version()
{
	local o

	for o in -h --help --hel -hV -hx; do
		is 0 "$c $o" "$tools/$c" $o; silent err "$c $o"; says out "Usage: $c" "$c $o"
	done
	for o in -V --version --vers -Vh; do
		is 0 "$c $o" "$tools/$c" $o; silent err "$c $o"
		holds "$c $o: $(cat out)" grep -qxE '[1-9][0-9]*\.[0-9]+\.[0-9]+(-.*)?' out
	done
	is 0 "$c by first word" "$tools/$program" "$c" --help; says out "Usage: $c" "$c by first word"
	with in.img out; is 0 "$c, -V last" "$tools/$c" "${words[@]}" -V; says out . "$c -V"
	is 0 "$c, -h first" "$tools/$c" -h "${words[@]}"; says out "Usage: $c" "$c -h first"
}

wrong_words()
{
	local long meta value

	is 64 "$c, unknown option" "$tools/$c" --hedgehogs-only
	says err "unexpected argument '--hedgehogs-only' found" "$c"; silent out "$c, unknown option"
	is 64 "$c, unknown option with a value" "$tools/$c" --hedgehogs-only=3
	says err "unexpected argument '--hedgehogs-only' found" "$c"
	is 64 "$c, unknown letter" "$tools/$c" -Z; says err "unexpected argument '-Z' found" "$c"
	is 64 "$c, nothing given" "$tools/$c"; says err "the following required arguments were not provided" "$c"
	if [ "$how" = operand ] || [ "$how" = -i ]; then
		says err "No input file provided." "$c, nothing given"
		with "" out.img
		is 64 "$c, no input" "$tools/$c" "${words[@]}"
		says err "the following required arguments were not provided" "$c, no input"
	fi
	if [ "$out_kind" = meta ]; then
		with nowhere ""
		is 64 "$c, no output" "$tools/$c" "${words[@]}"
		says err "the following required arguments were not provided" "$c, no output"
	fi
	for value in none '' ram trace: async:trace; do
		with "$in" out.img
		is 64 "$c, engine '$value'" "$tools/$c" --io-engine "$value" "${words[@]}"
		says err "--io-engine" "$c, engine '$value'"
	done
	while read -r long meta; do
		if [ "$meta" = - ]; then
			is 64 "$c --$long=x" "$tools/$c" --$long=x; says err "unexpected value" "$c --$long=x"
			continue
		fi
		optional "$long" || {
			is 64 "$c --$long, no value" "$tools/$c" --$long
			says err "a value is required" "$c --$long, no value"
		}
		case $meta in
		N | BLOCKNR | SECTORS | MB | BYTES | ERA | ID | COUNT | BLOCKS)
			for value in '' x 12x +3 -3 0x10 ' 1' 1.5 18446744073709551616; do
				is 64 "$c --$long='$value'" "$tools/$c" "--$long=$value"
				says err "invalid value" "$c --$long=$value"
			done
			value=1 ;;
		SIZE) value=1s ;;
		TYPE) value=xml ;;
		UNIT) value=s ;;
		*'|'*) value=${meta%%|*} ;;
		*) value=1 ;;
		esac
		case "$c --$long" in
		'thin_dump --dev-id' | *' --region') ;;
		*)	is 64 "$c --$long twice" "$tools/$c" "--$long=$value" "--$long=$value"
			says err "cannot be used multiple times" "$c --$long twice" ;;
		esac
	done < <(options)
	with nowhere nowhere
	case $c in
	*_repair)	# lvm2 before 2.03.17 has an empty word there
		is 1 "$c, an empty operand" "$tools/$c" "" "${words[@]}"
		says err "Couldn't find input file" "$c, an empty operand"
		is 64 "$c, two operands" "$tools/$c" "" "${words[@]}" x ;;
	pdata_poke) ;;
	*)	is 64 "$c, surplus" "$tools/$c" "${words[@]}" surplus
		says err "unexpected argument 'surplus' found" "$c, surplus"
		is 64 "$c, empty surplus" "$tools/$c" "${words[@]}" "" ;;
	esac
}

# the command does its work however its words are ordered
right_words()
{
	local engine

	good_out; with "$in" out.img
	is 0 "$c" "$tools/$c" "${words[@]}" || return
	silent err "$c"; [ "$out_kind" = - ] || silent out "$c"
	is 64 "$c, two engines" "$tools/$c" --io-engine sync --io-engine sync "${words[@]}"
	for engine in sync spindle async; do
		good_out; is 0 "$c, $engine" "$tools/$c" "--io-engine=$engine" --verbose "${words[@]}"
	done
	# engines for development are in the developers' program alone
	if [ "$how" = operand ]; then
		good_out; is 0 "$c, in memory" "$tools/pdata_tools_dev" "$c" --io-engine ram:async "${words[@]}"
		[ $program = pdata_tools_dev ] || is 64 "$c, in memory" "$tools/$c" --io-engine ram:async "${words[@]}"
	fi
	[ "$how" = operand ] && [ "$c" != pdata_poke ] || return
	with "" out.img
	is 0 "$c, operand first" "$tools/$c" "$in" "${words[@]}"
	is 0 "$c, operand after --" "$tools/$c" "${words[@]}" -- "$in"
	is 64 "$c, option after --" "$tools/$c" "$in" "${words[@]}" -- -h
}

# Inputs are looked at in this order, before any output is touched.
inputs()
{
	local name text

	while IFS='|' read -r name text; do
		fresh out.img && cp out.img before; with "$name" out.img
		is 1 "$c, input $name" "$tools/$c" "${words[@]}"; says err "$text" "$c, input $name"; silent out "$c, input $name"
		[ "$out_kind" = - ] || same out.img before "$c, input $name"
		[ $quiet = 0 ] && continue
		is 1 "$c -q, input $name" "$tools/$c" -q "${words[@]}"; silent out "$c -q"; silent err "$c -q"
	done < <(
		echo "nowhere|Couldn't find input file"
		echo "$in/under-a-file|Couldn't find input file"
		echo "dir|Not a block device or regular file"
		echo "fifo|Not a block device or regular file"
		echo "/dev/null|Not a block device or regular file"
		[ $in_kind = bin ] || exit
		[ $c = pdata_poke ] && exit	# takes what is there, whatever it is
		echo "short.img|Metadata device/file too small.  Is this binary metadata?"
		echo "text.xml|This looks like XML.  This tool only supports the binary metadata format."
		case $c in
		thin_repair)
			echo "zeros.img|no compatible roots found" ;;
		era_repair | clone_repair)
			echo "zeros.img|superblock" ;;
		*)	echo "zeros.img|bad checksum in superblock"
			echo "less.img|bad checksum in superblock" ;;
		esac)
	case $c in
	*_check | *_dump | era_invalidate)	# another type's metadata: which?
		for name in thin cache era clone; do
			[ $name != "$t" ] || continue
			with $name.img ""
			is 1 "$c, $name.img" "$tools/$c" "${words[@]}"; silent out "$c, $name.img"
			says err "bad checksum in superblock" "$c, $name.img"; says err "${name}_check" "$c, $name.img"
		done
		with zeros.img ""; is 1 "$c, zeros" "$tools/$c" "${words[@]}"; says err "was this ever formatted" "$c, zeros" ;;
	esac
	case $c in
	*_check) with short.img ""; is 1 "$c" "$tools/$c" --super-block-only "${words[@]}" ;;
	esac
	if [ $user = 1 ]; then
		cp "$in" locked && chmod 200 locked; fresh out.img && chmod 666 out.img; with locked out.img
		is 1 "$c, no permission" as_user "$tools/$c" "${words[@]}"; says err "Permission denied" "$c, no permission"
		cp "$in" locked && chmod 444 locked; good_out; [ ! -e out.img ] || chmod 666 out.img
		if [ "$c" != cache_writeback ]; then
			is 0 "$c, read-only input" as_user "$tools/$c" "${words[@]}"
		fi
	else
		skipped=$((skipped + 1))
	fi
	# lvm2 hands over deleted files
	exec 8<"$in"; cp "$in" gone && exec 9<gone && rm gone; good_out; with /proc/$$/fd/9 out.img
	is 0 "$c, a deleted input" "$tools/$c" "${words[@]}"
	exec 8<&- 9<&-
}

meta_outputs()
{
	local name text

	while IFS='|' read -r name text; do
		with "$in" "$name"
		is 1 "$c, output $name" "$tools/$c" "${words[@]}"; says err "$text" "$c, output $name"; silent out "$c, output $name"
	done <<-END
	nowhere|Couldn't find output file
	dir|Not a block device or regular file
	fifo|Not a block device or regular file
	/dev/null|Not a block device or regular file
	short.img|Output file too small
	END
	holds "$c made an output" [ ! -e nowhere ]
	fresh out.img 40959; cp out.img before; with "$in" out.img
	is 1 "$c, output of less than 10 blocks" "$tools/$c" "${words[@]}"; says err "Output file too small" "$c"
	same out.img before "$c, output of less than 10 blocks"
	if [ $user = 1 ]; then
		good_out; chmod 444 out.img
		is 1 "$c, output locked" as_user "$tools/$c" "${words[@]}"; says err "Permission denied" "$c, output locked"
	else
		skipped=$((skipped + 1))
	fi
	[ $in_kind = - ] && return
	cp "$in" both; truncate -s 1M both; cp both before; ln -sf both link
	for name in both link ./both; do
		with both $name
		is 64 "$c, one file for both" "$tools/$c" "${words[@]}"; same both before "$c, one file for both"
	done
	good_out; truncate -s 4194305 out.img; with "$in" out.img
	is 0 "$c, an output of odd size" "$tools/$c" "${words[@]}"
	holds "$c changed the output's size" [ "$(stat -c %s out.img)" = 4194305 ]
}

text_outputs()
{
	local name

	with "$in" "";			is 0 "$c to stdout" "$tools/$c" "${words[@]}"; cp out result
	with "$in" -;			is 0 "$c -o -" "$tools/$c" "${words[@]}"; same out result "$c -o -"
	holds "$c made a file -" [ ! -e - ]
	echo an old one >new.xml
	with "$in" new.xml;		is 0 "$c -o" "$tools/$c" "${words[@]}"; same new.xml result "$c -o"; silent out "$c -o"
	with zeros.img new.xml;		is 1 "$c -o, junk" "$tools/$c" "${words[@]}"; same new.xml result "$c: a good dump is kept"
	with nowhere new.xml;		is 1 "$c -o, nothing" "$tools/$c" "${words[@]}"; same new.xml result "$c: a good dump is kept"
	with zeros.img none.xml;	is 1 "$c -o, junk" "$tools/$c" "${words[@]}"; holds "$c made an output" [ ! -e none.xml ]
	with "$in" new.xml.gz;		is 0 "$c -o .gz" "$tools/$c" "${words[@]}"; gzip -dc new.xml.gz >new.xml; same new.xml result "$c -o .gz"
	for name in no/where dir ''; do
		[ -z "$name" ] && words=("$in" -o '') || with "$in" "$name"
		[ "$more" = - ] || [ -n "$name" ] || words+=($more)
		is 1 "$c -o '$name'" "$tools/$c" "${words[@]}"; holds "$c -o '$name' says nothing" [ -s err ]
	done
	cp "$in" both; with both both;	is 64 "$c onto its input" "$tools/$c" "${words[@]}"; same both "$in" "$c onto its input"
	(umask 027; rm -f new.xml; with "$in" new.xml; "$tools/$c" "${words[@]}"); holds "$c: mode of the output" [ "$(stat -c %a new.xml)" = 640 ]
	with "$in" /dev/full;		is 1 "$c, disk full" "$tools/$c" "${words[@]}"; says err "No space left on device" "$c, disk full"
	with "$in" "";			"$tools/$c" "${words[@]}" >/dev/full 2>err; holds "$c, disk full" [ $? = 1 ]; says err "No space left on device" "$c, disk full"
	ln -sf /dev/full full.gz;	with "$in" full.gz; is 1 "$c, disk full, .gz" "$tools/$c" "${words[@]}"; says err "No space left on device" "$c, disk full, .gz"
	cat fifo >from-fifo &
	with "$in" fifo;		is 0 "$c to a fifo" "$tools/$c" "${words[@]}"; wait; same from-fifo result "$c to a fifo"
	# a reader that goes away before the first byte
	with "$in" "";			{ sleep 0.1; "$tools/$c" "${words[@]}" 2>err; echo $? >status; } | :
	holds "$c, broken pipe" [ "$(cat status)" != 0 ]; silent err "$c, broken pipe"
	head -c 0 fifo & with "$in" fifo; timeout 60 "$tools/$c" "${words[@]}" 2>err; wait; silent err "$c, broken fifo"
	with "$in" "";			"$tools/$c" "${words[@]}" >&- 2>err; holds "$c, stdout closed: $?" [ $? != 2 ]
}

for program in pdata_tools pdata_tools_dev; do
	is 64 "bare call" "$tools/$program"; silent out "bare call"; says err thin_check "bare call"
	is 64 "unknown command" "$tools/$program" no_such_command; silent out "unknown command"; says err thin_check "unknown command"
	for o in -h --help; do is 0 "$program $o" "$tools/$program" $o; silent err "$program $o"; says out thin_check "$program $o"; done
	is 0 "$program -V" "$tools/$program" -V
done

user=0
can_be_user && user=1
for c in $("$tools/pdata_tools_dev" --help | sed -n 's/^  \([a-z_]*\)  .*/\1/p'); do
	[ -x "$tools/$c" ] || { no "$c has no link"; continue; }
	row=$(grep -P "^$c\t" <<<"$rows") || { no "$c has no row in this suite's table"; continue; }
	read -r _ in_kind how out_kind more <<<"$row"
	t=${c%%_*}
	case $in_kind in bin) in=in.img; cp $t.img $in 2>/dev/null || cp thin.img $in ;; xml) in=in.xml; cp $t.xml $in ;; *) in= ;; esac
	program=pdata_tools
	"$tools/pdata_tools" "$c" --help >/dev/null 2>&1 || program=pdata_tools_dev
	quiet=0; "$tools/$c" --help | grep -q -- --quiet && quiet=1
	[ "$c" != cache_writeback ] || { truncate -s 1G origin.img; truncate -s 256M blocks.img; }
	help_and_version
	wrong_words
	right_words
	[ "$in_kind" = - ] || inputs
	case $out_kind in meta) meta_outputs ;; text) text_outputs ;; esac
done
finish
