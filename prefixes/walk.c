/* SPDX-License-Identifier: Apache-2.0 */
#include "prefixes/walk.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/past.h"

struct walk {
	dur_prefix *prefix;
	struct past *past;
	struct coord_pin pin;           /* the state that past is as of */
	uint64_t opened;
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
	walk->opened++;
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

uint64_t walk_opened(const struct walk *walk)
{
	return walk->opened;
}

/* ---- Since when ---- */

/* What is asked of older states. */
struct leading {
	const struct tree_key *from, *to;
	struct tree_place place;
};

/* Opens the newest retained state below a number: which it is, and whether it leads there. */
static int leads(struct walk *walk, const struct leading *l, uint64_t below, uint64_t *number,
                 bool *yes)
{
	struct state state;
	dur_view *view;
	int rc = walk_before(walk, below, &view, &state);

	*number = 0;
	*yes = false;
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = tree_leads(&view->pager, view->catalog, l->from, l->to, &l->place, yes);
	dur_close(view);
	*number = state.number;
	return rc;
}

/*
 * Those that lead there are all from one state on, nearly always from the first that has the page.
 */
static int look_back(struct walk *walk, const struct leading *l, uint64_t *since)
{
	uint64_t no, number, mid;
	struct state first;
	bool yes;
	int rc = walk_after(walk, l->place.page.birth - 1, &first);

	if (rc != 0 || first.number >= *since)
		return rc < 0 ? rc : 0;
	no = l->place.page.birth - 1;
	for (mid = first.number; rc == 0 && no + 1 < *since; mid = no + (*since - no) / 2) {
		rc = leads(walk, l, mid + 1, &number, &yes);
		if (yes && number > no)
			*since = number;
		else
			no = mid;
	}
	return rc;
}

int walk_since(struct walk *walk, const dur_view *view, const struct state *state,
               const struct tree_key *from, const struct tree_key *to, uint64_t *since,
               struct cell *cell)
{
	struct leading l = { .from = from, .to = to };
	int rc = tree_since(&view->pager, view->catalog, from, to, since, &l.place, cell);

	if (*since > state->number)
		*since = state->number;
	if (rc >= 0 && l.place.page.no && l.place.page.birth < *since)
		rc = look_back(walk, &l, since);
	return rc < 0 ? rc : 0;
}
