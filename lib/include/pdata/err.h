/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Errors
 *
 * Functions that can fail return 0 or a negative errno value. Three of them
 * carry a meaning of their own here:
 *
 *   -EUCLEAN   metadata is not what the format says (checksum, order, range)
 *   -ENODATA   no such key
 *   -ENOSPC    no free block, or the output is too small
 *
 * Who discovers a failure tells the log (see <pdata/log.h>); who passes it on
 * says nothing.
 */
#ifndef PDATA_ERR_H
#define PDATA_ERR_H

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/** pd_strerror() - a short sentence for a code that a function here returned; never NULL. */
const char *pd_strerror(int err);

#ifdef __cplusplus
}
#endif
#endif
