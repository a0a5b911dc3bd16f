/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One list: the dispatcher, the links that are made and the man pages follow it. */
#define PDATA_COMMANDS(X)	\
	X(cache_check)		\
	X(cache_dump)		\
	X(cache_metadata_size)	\
	X(cache_repair)		\
	X(cache_restore)	\
	X(cache_writeback)	\
	X(clone_check)		\
	X(clone_dump)		\
	X(clone_repair)		\
	X(clone_restore)	\
	X(era_check)		\
	X(era_dump)		\
	X(era_invalidate)	\
	X(era_repair)		\
	X(era_restore)		\
	X(thin_check)		\
	X(thin_dump)		\
	X(thin_repair)		\
	X(thin_restore)		\
	/* the end */

/* In pdata_tools_dev only. */
#define PDATA_DEV_COMMANDS(X)	\
	X(cache_generate_damage) \
	X(cache_generate_metadata) \
	X(clone_generate_metadata) \
	X(era_generate_metadata) \
	X(pdata_poke)		\
	X(thin_generate_damage)	\
	X(thin_generate_metadata) \
	/* the end */
