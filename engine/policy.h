/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention as text: which states stay readable. One part or more, joined by commas, each once:
 *
 *   all         every state
 *   last:N      the newest N states; 1 <= N < 10^15
 *   for:SPAN    states not older than SPAN
 *   every:SPAN  of each SPAN one state
 *
 * SPAN is a number and one of s m h d w (seconds, minutes, hours, days, weeks), up to 10^10
 * seconds. A state is kept if any part keeps it; so with "all" the others say nothing.
 */
#ifndef DURAMEN_ENGINE_POLICY_H
#define DURAMEN_ENGINE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum { POLICY_TEXT = 64 }; /* characters of the longest canonical text, NUL included */

struct policy {
	bool all;
	uint64_t last; /* 0: no such part, as in the next two */
	uint64_t for_seconds;
	uint64_t every_seconds;
};

/* DUR_E_MISUSE, with what is wrong and an example. */
int policy_parse(const char *text, struct policy *out);
/* The canonical text: parts in the order above, each SPAN in the largest unit that divides it. */
void policy_format(const struct policy *policy, char text[POLICY_TEXT]);

#endif
