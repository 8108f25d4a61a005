/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clean end on SIGINT and SIGTERM: the command that asks for it looks at stop_requested()
 * between two steps of its work. System calls that block return EINTR.
 */
#ifndef DURAMEN_TOOLS_STOP_H
#define DURAMEN_TOOLS_STOP_H

#include <stdbool.h>

/* How long a wait may last before it looks again whether it should stop, in ms. */
#define STOP_LOOK_MS 200

void stop_catch(void);
bool stop_requested(void);

#endif
