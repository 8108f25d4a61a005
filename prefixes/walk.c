/* SPDX-License-Identifier: Apache-2.0 */
#include "prefixes/walk.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/past.h"

struct walk {
	dur_prefix *prefix;
	struct past *past;
	struct coord_pin pin;           /* the state that past is as of */
};

/* As of the newest state. */
static int begin(struct walk *w)
{
	struct state newest;
	int rc;

	past_close(w->past);
	w->past = NULL;
	if (w->pin.kind)
		coord_unpin(w->prefix->shared->coord, &w->pin);
	rc = prefix_newest(w->prefix, &w->pin, &newest);
	return rc < 0 ? rc : past_open(w->prefix->shared->store, &newest, &w->past);
}

int walk_open(dur_prefix *p, struct walk **walk)
{
	struct walk *w = calloc(1, sizeof *w);
	int rc;

	*walk = NULL;
	if (!w)
		return error_system(ENOMEM, "walking through states");
	w->prefix = p;
	rc = begin(w);
	if (rc < 0) {
		walk_close(w);
		return rc;
	}
	*walk = w;
	return 0;
}

void walk_close(struct walk *walk)
{
	if (!walk)
		return;
	past_close(walk->past);
	/* in the child of a fork the pin is the parent's, and what is shared may be gone */
	if (walk->pin.kind && walk->prefix->generation == registry_generation)
		coord_unpin(walk->prefix->shared->coord, &walk->pin);
	free(walk);
}

/*
 * A turn that does not end it has found a state dropped that was retained when the turn began;
 * nothing ever adds one below the number, so it ends.
 */
int walk_before(struct walk *walk, uint64_t number, dur_view **view, struct state *state)
{
	int rc = walk->past ? 0 : begin(walk);

	*view = NULL;
	while (rc == 0) {
		rc = past_before(walk->past, number, state);
		if (rc == 0)
			rc = view_open_known(walk->prefix, state, past_newest(walk->past), view);
		if (rc != DUR_E_GONE)
			break;
		rc = begin(walk);
	}
	return rc;
}

int walk_after(struct walk *walk, uint64_t number, struct state *state)
{
	int rc = walk->past ? 0 : begin(walk);

	return rc < 0 ? rc : past_after(walk->past, number, state);
}
