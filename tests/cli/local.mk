# SPDX-License-Identifier: GPL-2.0-or-later
TESTS += cli/cache.sh cli/clone.sh cli/era.sh cli/common.sh cli/repair.sh cli/restore.sh cli/schemas.sh
EXTRA_DIST += cli/schemas.sh cli/era.sh images/sample/era.img.xz cli/clone.sh images/sample/clone.img.xz images/sample/cache-clean.img.xz images/sample/cache-unclean.img.xz cli/cache.sh cli/common.sh cli/repair.sh cli/restore.sh images/sample/healthy.img.xz images/sample/damaged.img.xz
