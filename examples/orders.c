/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scan in four parts: `orders [N]` adds N orders to a list, then four threads add up what all of
 * them cost, a quarter each, of one state.
 */
#include <duramen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct part {
	dur_prefix *p;
	uint64_t state;
	uint32_t no;
	int64_t sum;
	int rc;
	pthread_t thread;
};

static int add_orders(dur_prefix *p, int64_t n)
{
	dur_view *txn = NULL;
	dur_coll orders;
	int rc = dur_begin(p, NULL, &txn);

	if (rc == 0)
		rc = dur_make(dur_root(txn), &DUR_STR("orders"), DUR_LIST, &orders);
	for (int64_t i = 1; rc == 0 && i <= n; i++) {
		dur_value order[] = { DUR_STR("item"), DUR_STR("apple"), DUR_STR("amount"),
			              DUR_INT(i) };
		rc = dur_append(orders, &DUR_NEW(DUR_MAP, order, 4));
	}
	if (rc == 0)
		rc = dur_commit(txn, NULL, NULL);
	dur_close(txn);
	return rc;
}

static void *scan_part(void *arg)
{
	struct part *me = arg;
	dur_range quarter = { .part = me->no, .parts = 4 }; /* equal counts, found in O(log n) */
	dur_view *snap = NULL;
	dur_coll orders;
	dur_iter *it;
	dur_value v;

	me->rc = dur_snapshot(me->p, me->state, NULL, &snap);
	if (me->rc == 0 && (me->rc = dur_enter(dur_root(snap), &DUR_STR("orders"), &orders)) == 0 &&
	    (me->rc = dur_scan(orders, &quarter, &it)) == 0)
		while ((me->rc = dur_next(it, NULL, &v)) == 0)
			if (dur_get(v.coll, &DUR_STR("amount"), &v) == 0)
				me->sum += v.i;
	if (me->rc < 0) /* the message is this thread's */
		fprintf(stderr, "%s\n", dur_message());
	dur_close(snap); /* closes the iterator too */
	return NULL;
}

static int total(dur_prefix *p, int64_t *sum)
{
	struct part parts[4];
	uint64_t state;
	int rc = dur_resolve(p, "latest", &state); /* the same in every part */

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < 4; i++) {
		parts[i] = (struct part){ .p = p, .state = state, .no = i };
		if (pthread_create(&parts[i].thread, NULL, scan_part, &parts[i]) != 0)
			abort();
	}
	*sum = 0;
	for (uint32_t i = 0; i < 4; i++) {
		pthread_join(parts[i].thread, NULL);
		rc = parts[i].rc < 0 ? parts[i].rc : rc;
		*sum += parts[i].sum;
	}
	return rc;
}

int main(int argc, char **argv)
{
	dur_workspace *ws = NULL;
	dur_prefix *p = NULL;
	int64_t sum = 0;
	int rc;

	if ((rc = dur_workspace_open("app-data", NULL, &ws)) < 0 ||
	    (rc = dur_attach(ws, "example/orders", DUR_CREATE, NULL, &p)) < 0 ||
	    (rc = add_orders(p, argc > 1 ? atoll(argv[1]) : 1000)) < 0 ||
	    (rc = total(p, &sum)) < 0)
		fprintf(stderr, "%s\n", dur_message());
	else
		printf("%lld in all\n", (long long)sum);
	dur_detach(p);
	dur_workspace_close(ws);
	return rc != 0;
}
