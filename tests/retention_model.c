/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/retention_model.h"

#include <check.h>
#include <string.h>

static const int64_t SECOND = 1000000000;

void model_commit(struct model *m, uint64_t number, int64_t time_ns)
{
	ck_assert_uint_lt(m->n, MODEL_STATES);
	m->of[m->n++] =
		(struct model_state){ .number = number, .time_ns = time_ns, .retained = true };
}

static bool named(const struct model *m, uint64_t number)
{
	for (int i = 0; i < MODEL_NAMES; i++)
		if (m->names[i] == number)
			return true;
	return false;
}

/* Of those still in the range: does all, last: or for: keep the one at i there? */
static bool in_range(const struct model *m, unsigned i)
{
	const struct policy *p = &m->policy;
	__int128 start = m->of[m->n - 1].time_ns - (__int128)p->for_seconds * SECOND;

	if (p->all || i == m->n - 1)
		return true;
	if (p->last && m->n - i <= p->last) /* the range has no gaps: all from here on are in it */
		return true;
	/* some state before the window begins shows what the window began with: the last one */
	return p->for_seconds && (m->of[i].time_ns > start || m->of[i + 1].time_ns > start);
}

static int64_t interval(const struct model *m, unsigned i)
{
	__int128 span = (__int128)m->policy.every_seconds * SECOND, t = m->of[i].time_ns;

	return (int64_t)(t >= 0 ? t / span : -((-t + span - 1) / span));
}

static bool last_of_interval(const struct model *m, unsigned i)
{
	for (unsigned k = i + 1; k < m->n; k++)
		if (m->of[k].retained)
			return interval(m, k) != interval(m, i);
	return true;
}

void model_step(struct model *m)
{
	static bool stays[MODEL_STATES];

	for (unsigned i = 0; i < m->n; i++) {
		struct model_state *s = &m->of[i];
		if (!s->left && !in_range(m, i))
			s->left = true;
		stays[i] = s->retained && (!s->left || m->policy.all || named(m, s->number) ||
		                           (m->policy.every_seconds && last_of_interval(m, i)));
	}
	for (unsigned i = 0; i < m->n; i++)
		m->of[i].retained = stays[i];
}

unsigned model_retained(const struct model *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->n; i++)
		n += m->of[i].retained;
	return n;
}

const struct model_state *model_back(const struct model *m, unsigned n)
{
	for (unsigned i = m->n; i-- > 0;)
		if (m->of[i].retained && n-- == 0)
			return &m->of[i];
	return NULL;
}

const struct model_state *model_at(const struct model *m, int64_t time_ns)
{
	for (unsigned i = m->n; i-- > 0;)
		if (m->of[i].retained && m->of[i].time_ns <= time_ns)
			return &m->of[i];
	return NULL;
}
