# SPDX-License-Identifier: GPL-2.0-or-later
cli_suites = cli/cache.sh cli/clone.sh cli/common.sh cli/era.sh cli/manual.sh cli/repair.sh cli/restore.sh cli/schemas.sh \
	cli/thin-check.sh cli/thin-dump.sh
TESTS += $(cli_suites)
EXTRA_DIST += $(cli_suites) cli/lib.sh \
	images/sample/cache-clean.img.xz images/sample/cache-unclean.img.xz images/sample/clone.img.xz \
	images/sample/damaged.img.xz images/sample/era.img.xz images/sample/healthy.img.xz
