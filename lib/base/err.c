/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pdata/err.h>
#include <string.h>

const char *pd_strerror(int err)
{
	switch (err < 0 ? -err : err) {
	case 0:		return "success";
	case EUCLEAN:	return "the metadata is damaged";
	case ENODATA:	return "no such key";
	case ENOTBLK:	return "Not a block device or regular file";
	default:	return strerror(err < 0 ? -err : err);
	}
}
