/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The elements of cache dumps (see xml-schemas/cache.rng). */
#ifndef PD_CACHE_ELEMENTS_H
#define PD_CACHE_ELEMENTS_H

#include "xml/elements.h"

enum cache_element {
	CACHE_EL_SUPERBLOCK,	/* struct cache_xml_sb */
	CACHE_EL_MAPPINGS,
	CACHE_EL_MAPPING,	/* struct cache_mapping_record */
	CACHE_EL_HINTS,
	CACHE_EL_HINT,		/* struct cache_xml_hint */
	CACHE_EL_DISCARDS,
	CACHE_EL_DISCARD,	/* struct cache_discard_record */
	NR_CACHE_ELEMENTS
};

/* As the text has them: a policy of any length, hint bytes of any width. */
struct cache_xml_sb {
	uint32_t block_size;		/* sectors */
	uint32_t nr_cache_blocks;
	const char *policy;
	uint32_t hint_width;		/* bytes */
};

struct cache_xml_hint {
	uint32_t cblock;
	struct xml_bytes data;
};

extern const struct xml_schema cache_schema;

#endif
