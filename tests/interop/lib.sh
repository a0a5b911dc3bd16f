# SPDX-License-Identifier: GPL-2.0-or-later
# lib.sh - functions for interop cases; they run in the guest, as root.
# shellcheck shell=bash disable=SC2016
set -u

die() { echo "$*" >&2; exit 99; }
say() { echo "$*"; }
must() { "$@" || die "failed ($?): $*"; }

# quiet COMMAND...: must succeed; its output is shown only if it does not
quiet()
{
	local rc
	"$@" >quiet.out 2>&1
	rc=$?
	[ $rc = 0 ] || { head -n 40 quiet.out >&2; die "failed ($rc): $*"; }
}

# fails STATUS COMMAND...: must end with that status; its stderr is left in the file err
fails()
{
	local want=$1 rc
	shift
	"$@" >out 2>err
	rc=$?
	[ $rc = "$want" ] || { cat err >&2; die "status $rc, not $want: $*"; }
}

same() { cmp -s "$1" "$2" || { diff "$1" "$2" | head -n 20 >&2; die "$3"; }; }

mark() { must "$MARK" "$@"; }
sum() { mark sum "$1"; }
sectors() { blockdev --getsz "$1"; }
# A metadata device as good as new opens with zeros.
wipe() { dd if=/dev/zero of="$1" bs=4096 count="${2:-1}" oflag=direct status=none; }
copy() { must dd if="$1" of="$2" bs=1M iflag=direct oflag=direct status=none; }

# le64 DEV BYTE: the number there
le64()
{
	dd if="$1" iflag=direct,skip_bytes,count_bytes bs=4096 skip=$(($2 / 4096 * 4096)) count=4096 \
		status=none | od -An -v -t u8 -j $(($2 % 4096)) -N 8 | tr -d ' '
}

# spoil DEV BLOCK: noise over one metadata block
spoil()
{
	perl -e 'srand(11); print pack("C*", map { int rand 256 } 1 .. 4096)' |
		dd of="$1" bs=4096 seek="$2" conv=notrunc oflag=direct iflag=fullblock status=none
}

# power_cut: the guest stops here and now, with status 0
power_cut()
{
	echo rc=0 >/dev/tty3
	exec perl -e 'syscall(169, 0xfee1dead, 672274793, 0x4321fedc, 0)'
}

create() { must dmsetup create "$1" --table "$2"; }
gone() { local n; for n; do must dmsetup remove "$n"; done; }
message() { local n=$1; shift; must dmsetup message "$n" 0 "$*"; }

# -- thin --

# pool NAME META DATA BLOCK_SECTORS [FEATURE...]
pool()
{
	local name=$1 meta=$2 data=$3 bs=$4
	shift 4
	create "$name" "0 $(sectors "$data") thin-pool $meta $data $bs 0 $# $*"
}
thin() { create "$1" "0 $4 thin /dev/mapper/$2 $3"; }		# NAME POOL ID SECTORS
new_thin() { message "$2" "create_thin $3"; thin "$@"; }
# snap POOL NEWID ID [NAME]: NAME is given when it is active
snap()
{
	[ -z "${4-}" ] || must dmsetup suspend "$4"
	message "$1" "create_snap $2 $3"
	[ -z "${4-}" ] || must dmsetup resume "$4"
}

# thin_view META DATA BLOCK_SECTORS ID:SECTORS...: what the kernel sees in a pool at rest: sectors
# mapped, a sum of each device, and where each marked block lies
thin_view()
{
	local meta=$1 data=$2 bs=$3 d id size
	shift 3
	pool view "$meta" "$data" "$bs" read_only skip_block_zeroing
	for d; do
		IFS=: read -r id size <<<"$d"
		must dmsetup create --readonly "view$id" --table "0 $size thin /dev/mapper/view $id"
		echo "mapped $id $(dmsetup status "view$id" | cut -d' ' -f4-)"
		echo "sum $id $(sum "/dev/mapper/view$id")"
		mark where "/dev/mapper/view$id" "$data" $((bs * 512)) | sed "s/^/map $id /"
		gone "view$id"
	done
	gone view
}

# dump_maps: "map ID VBLOCK DBLOCK" of a thin_dump on stdin, defs expanded
dump_maps()
{
	perl -ne '
		sub out { my ($v, $d, $n) = @_; push @{$to}, map { [$v + $_, $d + $_] } 0 .. $n - 1 }
		if (/<def name="([^"]*)"/) { $to = $def{$1} = [] }
		elsif (/<device dev_id="(\d+)"/) { $id = $1; $to = $dev{$id} = [] }
		elsif (/<ref name="([^"]*)"/) { push @{$dev{$id}}, @{$def{$1}} }
		elsif (/<single_mapping origin_block="(\d+)" data_block="(\d+)"/) { out($1, $2, 1) }
		elsif (/<range_mapping origin_begin="(\d+)" data_begin="(\d+)" length="(\d+)"/) { out($1, $2, $3) }
		END { for $i (sort { $a <=> $b } keys %dev) { print "map $i $_->[0] $_->[1]\n" for @{$dev{$i}} } }'
}

# -- cache --

# cache NAME META FAST ORIGIN BLOCK_SECTORS "NFEATURES FEATURE..." [POLICY]
cache()
{
	create "$1" "0 $(sectors "$4") cache $2 $3 $4 $5 $6 ${7:-smq} 2 migration_threshold 1000000"
}
dirty() { dmsetup status "$1" | awk '{ print $14 }'; }
cached() { dmsetup status "$1" | awk '{ sub("/.*", "", $7); print $7 }'; }	# blocks
wait_clean()
{
	local i
	for ((i = 0; i < 600; i++)); do
		[ "$(dirty "$1")" != 0 ] || return 0
		sleep 0.1
	done
	die "$1 does not get clean"
}
# heat DEV BLOCKSIZE FIRST COUNT TAG: write and read them until the policy takes them
heat()
{
	local i
	for i in 1 2 3 4; do
		mark run "$1" "$2" "$4" "$5.$i" "$3"
		mark scan "$1" "$2" >/dev/null
	done
}
hold_dirty() { message "$1" migration_threshold 0; }

# -- era, clone --

era() { create "$1" "0 $(sectors "$3") era $2 $3 $4"; }		# NAME META ORIGIN BLOCK_SECTORS
era_now() { dmsetup status "$1" | awk '{ print $6 }'; }
# listed: the blocks in what era_invalidate says
listed() { perl -ne 'print "$1\n" if /<block block="(\d+)"/; if (/<range begin="(\d+)" end="(\d+)"/) { print "$_\n" for $1 .. $2 - 1 }' | sort -n; }
# clone NAME META DEST SOURCE REGION_SECTORS [FEATURE...]
clone()
{
	local name=$1 meta=$2 dest=$3 src=$4 region=$5
	shift 5
	create "$name" "0 $(sectors "$src") clone $meta $dest $src $region $# $*"
}
# hydrated NAME: "HYDRATED/ALL" regions
hydrated() { dmsetup status "$1" | awk '{ print $7 }'; }

# -- lvm2 --

# lvm_setup: a private lvm.conf; our tools behind wrappers that note each call in the file calls:
# "NAME STATUS [ARG]..."
lvm_setup()
{
	local t
	export LVM_SYSTEM_DIR=$PWD/lvm LVM_SUPPRESS_FD_WARNINGS=1
	mkdir -p lvm wrap /run/lvm /run/lock/lvm
	: >calls
	for t in thin_check thin_dump thin_repair thin_restore cache_check cache_dump cache_repair; do
		printf '#!/bin/sh\n"%s" "$@"\nrc=$?\n{ printf "%%s" "%s $rc"; for a; do printf " [%%s]" "$a"; done; echo; } >>"%s"\nexit $rc\n' \
			"$TOOLS/$t" "$t" "$PWD/calls" >"wrap/$t"
		chmod +x "wrap/$t"
	done
	cat >lvm/lvm.conf <<CONF
devices {
	scan = [ "/dev" ]
	obtain_device_list_from_udev = 0
	external_device_info_source = "none"
	use_devicesfile = 0
	types = [ "ubd", 16 ]
	global_filter = [ "a|^/dev/ubd|", "r|.*|" ]
}
global {
	thin_check_executable = "$PWD/wrap/thin_check"
	thin_check_options = [ "-q", "--clear-needs-check-flag" ]
	thin_dump_executable = "$PWD/wrap/thin_dump"
	thin_repair_executable = "$PWD/wrap/thin_repair"
	cache_check_executable = "$PWD/wrap/cache_check"
	cache_dump_executable = "$PWD/wrap/cache_dump"
	cache_repair_executable = "$PWD/wrap/cache_repair"
	event_activation = 0
	use_lvmpolld = 0
	use_lvmlockd = 0
	notify_dbus = 0
	locking_dir = "/run/lock/lvm"
}
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
backup { backup = 0 archive = 0 }
CONF
}
lvm_do() { "$@" >lvm.out 2>lvm.err || { cat lvm.err >&2; die "failed: $*"; }; }
# called NAME STATUS-PATTERN: lvm2 called it since the last time, and it ended so
called()
{
	grep -qE "^$1 $2( |\$)" calls || die "lvm2 did not call $1 with status $2: $(tr '\n' ';' <calls)"
	: >calls
}
# lv_place VG/LV: "PV BYTES", where an LV of one segment begins
lv_place()
{
	local pv start size pe
	pv=$(lvs -a --noheadings -o seg_pe_ranges "$1" | tr -d ' ')
	start=${pv#*:}
	start=${start%-*}
	pv=${pv%%:*}
	size=$(vgs --noheadings --nosuffix --units b -o vg_extent_size "${1%%/*}" | tr -d ' ')
	pe=$(pvs --noheadings --nosuffix --units b -o pe_start "$pv" | tr -d ' ')
	echo "$pv $((pe + start * size))"
}
