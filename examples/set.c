/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets: `set` tags pages and asks which have all of some tags, any of them, or one but not another;
 * what was found is kept as a set of its own.
 */
#include <duramen.h>
#include <stdio.h>

static int tag(dur_coll tags, const char *name, const char *const *pages)
{
	dur_coll set;
	int rc = dur_make(tags, &DUR_STR(name), DUR_SET, &set);

	for (; rc >= 0 && *pages; pages++)
		rc = dur_add(set, &DUR_STR(*pages)); /* 1: it was there */
	return rc < 0 ? rc : 0;
}

static int print(const char *title, uint32_t how, const dur_coll *sets, uint32_t n)
{
	dur_iter *it;
	dur_value page;
	int rc = dur_combine(how, sets, n, NULL, &it);

	printf("%s:", title);
	while (rc == 0 && (rc = dur_next(it, &page, NULL)) == 0)
		printf(" %.*s", (int)page.len, page.str);
	printf("\n");
	dur_iter_close(it);
	return rc < 0 ? rc : 0;
}

static int ask(dur_view *txn)
{
	static const char *const fish[] = { "cod", "herring", "stew", NULL };
	static const char *const warm[] = { "soup", "stew", "cod", NULL };
	dur_coll tags, sets[2], both;
	dur_iter *it;
	uint64_t n;
	int rc;

	if ((rc = dur_make(dur_root(txn), &DUR_STR("tags"), DUR_MAP, &tags)) < 0 ||
	    (rc = tag(tags, "fish", fish)) < 0 || (rc = tag(tags, "warm", warm)) < 0 ||
	    (rc = dur_enter(tags, &DUR_STR("fish"), &sets[0])) < 0 ||
	    (rc = dur_enter(tags, &DUR_STR("warm"), &sets[1])) < 0 ||
	    (rc = print("any", DUR_UNION, sets, 2)) < 0 ||
	    (rc = print("both", DUR_INTERSECTION, sets, 2)) < 0 ||
	    (rc = print("cold fish", DUR_DIFFERENCE, sets, 2)) < 0 ||
	    (rc = print("just one", DUR_EITHER, sets, 2)) < 0)
		return rc;
	if ((rc = dur_make(tags, &DUR_STR("warm fish"), DUR_SET, &both)) < 0 ||
	    (rc = dur_combine(DUR_INTERSECTION, sets, 2, NULL, &it)) < 0 ||
	    (rc = dur_collect(it, both, &n)) < 0)
		return rc;
	printf("kept: %llu\n", (unsigned long long)n);
	return dur_commit(txn, NULL, NULL);
}

int main(void)
{
	dur_workspace *ws = NULL;
	dur_prefix *p = NULL;
	dur_view *txn = NULL;
	int rc;

	if ((rc = dur_workspace_open("app-data", NULL, &ws)) == 0 &&
	    (rc = dur_attach(ws, "example/set", DUR_CREATE, NULL, &p)) == 0 &&
	    (rc = dur_begin(p, NULL, &txn)) == 0)
		rc = ask(txn);
	if (rc < 0)
		fprintf(stderr, "%s\n", dur_message());
	dur_close(txn);
	dur_detach(p);
	dur_workspace_close(ws);
	return rc != 0;
}
