#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every command with its first, its second, ... read, write or flush failing, with a signal in place of each write, and
# with each block in turn unreadable: what is left of inputs and outputs, and what is said (cli contract, 1.7).
# shellcheck disable=SC2015 # ok and no end well
set -u
# What ignored these signals above us must not decide what the commands do with them.
[ -n "${DEFAULT_SIGNALS-}" ] || DEFAULT_SIGNALS=1 exec perl -e '$SIG{$_} = "DEFAULT" for qw(INT TERM HUP); exec @ARGV' bash "$0" "$@"
tools=$(cd "${tools:-../tools}" && pwd)
here=$(cd "$(dirname -- "$0")" && pwd)
dev=$tools/pdata_tools_dev
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
cd "$w" || exit 1
passed=0 failed=0
ok() { passed=$((passed + 1)); }
no() { failed=$((failed + 1)); echo "FAIL $*"; }

for i in healthy cache-clean era clone; do
	xz -dc "$here/../images/sample/$i.img.xz" >"${i%-clean}.img" || exit 1
done
mv healthy.img thin.img
for t in thin cache era clone; do
	"$tools/${t}_dump" $t.img >$t.xml || exit 1
done

# ---- What there is to fail ----

# count KIND COMMAND...: requests of the kind, from a trace
count()
{
	local kind=$1
	shift
	"$dev" "$1" --io-engine trace:sync "${@:2}" 2>&1 >/dev/null | grep -c "^$kind"
}

# the numbers to try, of 1 to N: all of a few; of many the first, the last, and some between
some()
{
	local n=$1 i
	for ((i = 1; i <= n; i++)); do
		[ "$n" -le 12 ] || [ $i -le 4 ] || [ $i -gt $((n - 4)) ] || [ $((i % (n / 4))) = 0 ] || continue
		echo $i
	done
}

# ---- Outputs ----

magic() { od -An -tx1 -j 32 -N 8 "$1"; }

# state OUT OLD TYPE: old, invalid (right magic, wrong checksum) or valid
state()
{
	if cmp -s "$1" "$2"; then
		echo old
	elif cmp -s -n 4096 "$1" "$2"; then
		echo "old block 0, others changed"
	elif [ "$(magic "$1")" != "$(magic "$3.img")" ]; then
		echo "without the magic number"
	elif "$tools/$3_check" --super-block-only "$1" 2>&1 | grep -q 'bad checksum in superblock'; then
		echo invalid
	elif "$tools/$3_check" "$1" >/dev/null 2>&1 && "$tools/$3_dump" "$1" | cmp -s - want.xml; then
		echo valid
	else
		echo "valid, but not what it should be"
	fi
}

# after WHAT STATUS WANTED-STATUS TYPE: the output is as it was or recognisably invalid, the inputs are untouched
after()
{
	local what=$1 r=$2 want=$3 t=$4 s
	s=$(state out.img old.img "$t")
	[ "$r" = "$want" ] || { no "$what: status $r, not $want: $(head -c 300 err)"; return; }
	case $s in
	old | invalid) ok ;;
	valid) [ "$want" -gt 128 ] && ok || no "$what: a valid output in spite of it" ;;
	*) no "$what: the output is $s" ;;
	esac
	cmp -s in.copy "$5" || no "$what: the input was written to"
}

# writer TYPE INPUT COMMAND...: "out.img" and "in" stand for the files
writer()
{
	local t=$1 input=$2 kind n sig want
	shift 2
	cp "$input" in.copy
	cp old.img out.img
	"$dev" "$@" >/dev/null 2>err || { no "$*: $(cat err)"; return; }
	"$tools/${t}_dump" out.img >want.xml	# names of shared parts are others than in the input
	[[ $1 = *_generate_metadata ]] || grep -v '<def\|<ref\|</def' want.xml | cmp -s - <(grep -v '<def\|<ref\|</def' "$t.xml") || no "$*: it dumps otherwise"
	[ "$(state out.img old.img "$t")" = valid ] || no "$*: what it writes is $(state out.img old.img "$t")"
	for kind in read write flush; do
		cp old.img out.img
		case $kind in read) n=R ;; write) n=W ;; *) n=F ;; esac
		for n in $(some "$(count "$n" "$@")"); do
			cp old.img out.img
			"$dev" "$1" --io-engine fault-$kind-"$n":sync "${@:2}" >/dev/null 2>err
			r=$?
			# a read that fails once may be made good by trying again
			[ $kind = read ] && [ $r = 0 ] && { ok; continue; }
			after "$1, $kind $n fails" $r 1 "$t" "$input"
			[ $kind = read ] || grep -qE 'out.img: (writing block [0-9]|flushing)' err ||
				no "$1, $kind $n: does not say where: $(cat err)"
		done
	done
	for n in $(some "$(cp old.img out.img; count W "$@")"); do
		for sig in kill term int hup; do
			[[ $1 = *_generate_metadata && $sig != kill ]] && continue
			[ $((n % 4)) = 1 ] || [ $sig = kill ] || continue
			case $sig in kill) want=137 ;; term) want=143 ;; int) want=130 ;; *) want=129 ;; esac
			cp old.img out.img
			# a shell of its own, so that nobody tells of jobs that were killed
			bash -c '"$@"; exit $?' - "$dev" "$1" --io-engine $sig-write-"$n":sync "${@:2}" >/dev/null 2>err
			after "$1, $sig at write $n" $? $want "$t" "$input"
			[ $sig = kill ] || grep -q 'out.img is not usable' err || no "$1, $sig at write $n: $(cat err)"
		done
	done
	# a disk that fills up; an output too small for anything
	cp old.img out.img
	(ulimit -f 16; trap '' XFSZ; "$tools/$1" "${@:2}" >/dev/null 2>err)
	after "$1, a full disk" $? 1 "$t" "$input"
	truncate -s 40960 out.img; cp out.img less.img
	# these need no more than any output must have
	case $1 in era* | clone* | *_generate_metadata) return ;; esac
	"$tools/$1" "${@:2}" >/dev/null 2>err
	r=$?
	[ $r = 1 ] && grep -q 'are needed' err && ok || no "$1, too small: $r $(cat err)"
	case $1 in
	*_repair) cmp -s out.img less.img && ok || no "$1, too small: the output was touched" ;;
	esac
}

for t in thin cache era clone; do
	# over other metadata; pools over nothing, too
	cp $t.img old.img
	"$dev" pdata_poke old.img 0 set 'metadata_space_map_root.nr_allocated=+1' || no "no other metadata"
	writer $t $t.xml ${t}_restore -i $t.xml -o out.img
	writer $t $t.img ${t}_repair -i $t.img -o out.img
	writer $t $t.img ${t}_generate_metadata --format -o out.img
	[ $t = thin ] || continue
	rm old.img; truncate -s "$(stat -c %s $t.img)" old.img
	writer $t $t.xml ${t}_restore -i $t.xml -o out.img
done

# ---- Readers ----

# reader IMAGE COMMAND...: one read that fails is made good, or the command fails and says of which device
reader()
{
	local image=$1 n r
	shift
	"$dev" "$@" "$image" >want 2>want.err || { no "$*: $(cat want.err)"; return; }
	for n in $(some "$(count R "$@" "$image")"); do
		"$dev" "$1" --io-engine fault-read-"$n":sync "${@:2}" "$image" >out 2>err
		r=$?
		if [ $r = 0 ]; then cmp -s out want && ok || no "$*, read $n fails: another output, and status 0"
		else [ $r = 1 ] && [ -s err ] && ok || no "$*, read $n fails: status $r, $(cat err)"; fi
	done
}
for t in thin cache era clone; do
	reader $t.img ${t}_check
	reader $t.img ${t}_dump
done
reader thin.img thin_dump --repair
reader era.img era_invalidate --written-since 1

# ---- In place: old or new ----

# mender TYPE IMAGE COMMAND...: "in.img" stands for the file
mender()
{
	local t=$1 image=$2 kind n r sig
	shift 2
	"$tools/${t}_check" "$image" >/dev/null 2>old.said; "$tools/${t}_dump" "$image" 2>/dev/null | sed 's/ flags="1"//' >old.xml
	cp "$image" in.img
	"$dev" "$@" >/dev/null 2>err || { no "$*: $(cat err)"; return; }
	cmp -s in.img "$image" && no "$*: there is nothing to mend"
	cp in.img new.img
	"$tools/${t}_check" in.img >/dev/null 2>new.said || no "$*: what was mended does not check"
	for kind in read write flush kill term; do
		case $kind in read) n=R ;; flush) n=F ;; *) n=W ;; esac
		cp "$image" in.img
		for n in $(some "$(count $n "$@")"); do
			cp "$image" in.img
			case $kind in
			kill | term) engine=$kind-write-$n ;;
			*) engine=fault-$kind-$n ;;
			esac
			bash -c '"$@"; exit $?' - "$dev" "$1" --io-engine "$engine":sync "${@:2}" >/dev/null 2>err
			r=$?
			"$tools/${t}_check" in.img >/dev/null 2>said
			case $kind in
			read) [ $r -le 1 ] || no "$1 in place, $engine: status $r" ;;
			kill) [ $r = 137 ] || no "$1 in place, $engine: status $r" ;;
			term) cmp -s in.img new.img || no "$1 in place: a signal at write $n was not waited with" ;;
			*) [ $r = 1 ] && grep -qE 'in.img: (writing block [0-9]|flushing)' err || no "$1 in place, $engine: status $r, $(cat err)" ;;
			esac
			if cmp -s said old.said || cmp -s said new.said; then ok
			else no "$* $engine: neither old nor new: $(diff said old.said | head -n 3)"; fi
			# the flag is part of a pool's first line
			"$tools/${t}_dump" in.img 2>/dev/null | sed 's/ flags="1"//' | cmp -s - old.xml || no "$* $engine: it dumps otherwise"
		done
	done
}

bitmap='metadata_space_map_root.bitmap_root/index[0].blocknr'
for t in thin cache clone; do
	cp $t.img leak.img
	"$dev" pdata_poke leak.img "$bitmap" set 'entries[300]=1' 'entries[301]=2' || no "no leak made"
	mender $t leak.img ${t}_check --auto-repair in.img
	[ $t = clone ] && continue
	"$dev" pdata_poke leak.img 0 set "$([ $t = thin ] && echo flags=1 || echo flags=3)"
	mender $t leak.img ${t}_check --clear-needs-check-flag in.img
done
cp thin.img lost.img
"$dev" pdata_poke lost.img "$bitmap" set 'entries[1]=0' 'entries[2]=0' || no "no lost counts made"
mender thin lost.img thin_repair --in-place in.img

# ---- Blocks that cannot be read ----

# Each block in use, for good: readers say where, and repair goes on without it; nothing ends by itself.
for t in thin cache era clone; do
	size=$(($(stat -c %s $t.img) / 4096))
	cp $t.img old.img
	for ((b = 0; b < size; b++)); do
		[ "$(od -An -tx4 -N4 -j $((b * 4096)) $t.img)" != " 00000000" ] || continue
		[ $b -lt 30 ] || [ $((b % 16)) = 0 ] || continue
		"$dev" ${t}_check --io-engine bad-block-$b:sync $t.img >/dev/null 2>said
		r=$?
		"$dev" ${t}_dump --io-engine bad-block-$b:sync $t.img >dumped 2>err
		d=$?
		if [ $r = 0 ]; then	# not in use
			[ $d = 0 ] && cmp -s dumped $t.xml && ok || no "${t}_dump, block $b bad: $d $(cat err)"
			continue
		fi
		[ $r = 1 ] && grep -qE "block $b\b|superblock" said && ok || no "${t}_check, block $b bad: $r $(cat said)"
		[ $d = 0 ] && cmp -s dumped $t.xml || { [ $d = 1 ] && grep -qE "block $b\b|superblock" err; } ||
			no "${t}_dump, block $b bad: $d $(cat err)"
		cp old.img out.img
		"$dev" ${t}_repair --io-engine bad-block-$b:sync -i $t.img -o out.img >/dev/null 2>err
		r=$?
		if [ $r = 0 ]; then
			"$tools/${t}_check" -q out.img && ok || no "${t}_repair, block $b bad: does not check"
		else
			[ $r = 1 ] && [ -s err ] && cmp -s out.img old.img && ok || no "${t}_repair, block $b bad: $r $(cat err)"
		fi
	done
done

echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
