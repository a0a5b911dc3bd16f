/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One list: the dispatcher, the links that are installed and the man pages follow it. */
#define PDATA_COMMANDS(X)	\
	X(thin_check)		\
	X(thin_dump)

/* In pdata_tools_dev only. */
#define PDATA_DEV_COMMANDS(X)	\
	X(pdata_poke)
