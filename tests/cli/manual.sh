#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The manual: each command has a page, what is in it is true of the command, and it can be typeset.
# usage: manual.sh TOOLSDIR
# shellcheck source=/dev/null
. "$(dirname -- "$0")/lib.sh"

man=${man:-$tools/../man}
problems=$here/../../lib/include/pdata/problems.h
if [ ! -e "$man/thin_check.8" ]; then
	skipped=1 passed=1
	finish
fi
plain() { sed -e 's/\\-/-/g' -e 's/\\f[BIR]//g' "$1"; }
options() { "$tools/$1" --help | grep -oE '^  (-.,|   ) --[a-z-]+' | grep -oE -- '--?[a-zA-Z-]+'; }

commands=$("$tools/pdata_tools" --help | sed -n 's/^  \([a-z_]*\)  .*/\1/p')
for c in $("$tools/pdata_tools_dev" --help | sed -n 's/^  \([a-z_]*\)  .*/\1/p'); do options "$c"; done | sort -u >all
for page in "$man"/*.8; do
	c=$(basename "$page" .8)
	[ -x "$tools/$c" ] || { no "there is a page of $c, and no such command"; continue; }
	plain "$page" >text
	options "$c" >own
	for section in NAME SYNOPSIS DESCRIPTION OPTIONS "EXIT STATUS" EXAMPLE "SEE ALSO"; do
		holds "$c: section $section" grep -q "^\.SH $section" text
	done
	holds "$c: the page says what the command is" grep -qE "^$c - .{10}" text
	lacks text '@' "$c"
	# all it has, in its own words, and none that there is not
	while read -r o; do holds "$c: $o is not in its page" grep -q -- "$o" text; done <own
	for o in $(grep -oE -- '(^|[^a-z-])--[a-z][a-z-]+' text | grep -oE -- '--[a-z-]+' | sort -u); do
		holds "$c: its page speaks of $o" grep -qxe "$o" all
	done
	"$tools/$c" --help | sed -n 's/^.\{34,\}[^ ]* \([A-Z].*\)$/\1/p' | while read -r words; do
		grep -qF -- "$words" text || echo "$words"
	done >unsaid
	silent unsaid "$c: words of --help that are not in the page"
	# examples can be typed
	sed -n '/^\.SH EXAMPLE/,/^\.SH SEE/p' text | grep -E "^[a-z_]+ " | tr '|' '\n' | sed 's/^ *//' >examples
	holds "$c: an example of it" grep -q "^$c " examples
	while read -r e words; do
		[ -x "$tools/$e" ] || continue
		options "$e" >its
		for o in $words; do
			case $o in
			--*) holds "$c: example '$e $o'" grep -qxe "${o%%=*}" its ;;
			-?) holds "$c: example '$e $o'" grep -qxe "$o" its ;;
			esac
		done
	done <examples
	for o in 0 1 64; do sed -n '/^\.SH EXIT STATUS/,/^\.SH EX/p' text | grep -qE "(^|[^0-9])$o([^0-9]|$)" || echo $o; done >unsaid
	[ "$c" = cache_metadata_size ] || silent unsaid "$c: exit statuses that are not in the page"
done
for c in $commands; do holds "$c has a page" [ -e "$man/$c.8" ]; done
plain "$man/pdata_problems.7" >text
for p in $(sed -n 's/^\tX([A-Z_]*, "\([a-z-]*\)".*/\1/p' "$problems"); do
	holds "pdata_problems: $p" grep -q "^\.BR $p " text
done
if command -v groff >/dev/null; then
	for page in "$man"/*.[378]; do
		groff -man -ww -z "$page" >words 2>&1
		silent words "$(basename "$page") typeset"
	done
else
	skipped=$((skipped + 1))
fi
finish
