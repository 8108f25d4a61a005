/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loader and the followers of the demo agree on: in every state the entry under the key
 * null is the tuple (packages, sum of their installed sizes in KiB, whether this is the last
 * state). Every other entry is a package: its name -> (version, section, installed size in KiB,
 * description). null sorts before all strings, so a scan meets the totals first.
 */
#ifndef DURAMEN_DEMO_H
#define DURAMEN_DEMO_H

#include <duramen.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { TOTAL_PACKAGES, TOTAL_SIZE, TOTAL_LAST, TOTALS };
enum { PACKAGE_VERSION, PACKAGE_SECTION, PACKAGE_SIZE, PACKAGE_DESCRIPTION, PACKAGE_FIELDS };

/* The clock that all processes of a machine share. */
static inline int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Attaches prefix in the workspace at root. A failure is printed. */
static inline int demo_attach(const char *root, const char *name, uint32_t flags,
                              dur_workspace **ws, dur_prefix **p)
{
	int rc = dur_workspace_open(root, NULL, ws);
	if (rc == 0)
		rc = dur_attach(*ws, name, flags, NULL, p);
	if (rc < 0)
		fprintf(stderr, "%s\n", dur_message());
	return rc;
}

#endif
