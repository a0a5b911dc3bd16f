/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All files of unit tests, in the order they run. */
#define UNIT_SUITES(X)	\
	X(base)		\
	X(counts)	\
	X(crc32c)	\
	X(engines)	\
	X(stream)	\
	X(block)	\
	X(xml_writer)	\
	X(fields)	\
	X(damage)	\
	X(slots)	\
	X(thin_check)	\
	X(thin_dump)	\
	X(build)	\
	X(xml_reader)	\
	X(transactions)	\
	X(properties)	\
	X(thin_pool)	\
	X(handles)	\
	X(era_stale)	\
	X(twice)	\
	X(writeback)	\
	X(fault_io)	\
	X(fault_power)	\
	/* the end */
