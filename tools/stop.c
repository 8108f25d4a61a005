/* SPDX-License-Identifier: Apache-2.0 */
/* The handler sets a flag; a second signal ends the process, should the first not be enough. */
#include "stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stopped;

static void handle(int number)
{
	(void)number;
	stopped = 1;
}

void stop_catch(void)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = (int)SA_RESETHAND };
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool stop_requested(void)
{
	return stopped != 0;
}
