/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Text outputs and inputs
 *
 * Dumps write text in pieces to a sink the caller brings; restores read from a source.
 */
#ifndef PDATA_TEXT_H
#define PDATA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct pd_sink - where text goes.
 * @write: takes all @len bytes and returns 0, or a negative errno value, which the caller of
 *         the dump gets back. It is called by one thread at a time, not always the same one.
 *         The first call comes once the input was found good enough to begin.
 * @ctx:   handed to @write.
 */
struct pd_sink {
	int (*write)(void *ctx, const void *data, size_t len);
	void *ctx;
};

/**
 * struct pd_source - where text comes from.
 * @read: fills up to @len bytes and returns how many, 0 at the end, or a negative errno value. Called
 *        by one thread at a time, not always the one that called the library.
 * @ctx:  handed to @read.
 */
struct pd_source {
	ssize_t (*read)(void *ctx, void *data, size_t len);
	void *ctx;
};

enum pd_text_format {
	PD_TEXT_XML,
	PD_TEXT_HUMAN_READABLE,
};

#ifdef __cplusplus
}
#endif
#endif
