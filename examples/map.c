/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps in maps: `map` keeps an address book, a document for each person. It writes one as a whole,
 * changes it by path and through a handle, counts visits, and copies the book before it is changed.
 */
#include <duramen.h>
#include <stdio.h>

static int write_book(dur_view *txn)
{
	dur_value home[] = { DUR_STR("city"), DUR_STR("Oslo"), DUR_STR("zip"), DUR_STR("0150") };
	dur_value alice[] = { DUR_STR("age"), DUR_INT(25), DUR_STR("home"), DUR_NEW(DUR_MAP, home, 4) };
	dur_coll book, bob;
	int rc;

	if ((rc = dur_make(dur_root(txn), &DUR_STR("book"), DUR_MAP, &book)) < 0 ||
	    /* a whole document: one call */
	    (rc = dur_put(book, &DUR_STR("alice"), &DUR_NEW(DUR_MAP, alice, 4))) < 0 ||
	    /* piece by piece: the maps on the way are made */
	    (rc = dur_make(book, &DUR_PATH("/bob/home"), DUR_MAP, NULL)) < 0 ||
	    (rc = dur_enter(book, &DUR_STR("bob"), &bob)) < 0 ||
	    (rc = dur_put(bob, &DUR_STR("age"), &DUR_INT(42))) < 0 ||
	    (rc = dur_put(bob, &DUR_PATH("/home/city"), &DUR_STR("Bergen"))) < 0)
		return rc;
	/* a copy costs nothing, and does not see what comes now */
	rc = dur_put(dur_root(txn), &DUR_STR("before"), &DUR_COLL(book));
	if (rc == 0)
		rc = dur_put(book, &DUR_PATH("/alice/home/city"), &DUR_STR("Tromso"));
	if (rc == 0)
		rc = dur_apply(bob, &DUR_STR("age"), DUR_ADD, &DUR_INT(1), NULL);
	return rc < 0 ? rc : dur_commit(txn, &(dur_commit_options){ .label = "address book" }, NULL);
}

static int print(dur_coll book, const char *title)
{
	dur_iter *it = NULL;
	dur_value name, person, age, city;
	int rc = dur_scan(book, NULL, &it);

	printf("%s\n", title);
	while (rc == 0 && (rc = dur_next(it, &name, &person)) == 0) {
		if ((rc = dur_get(person.coll, &DUR_STR("age"), &age)) == 0)
			rc = dur_get(person.coll, &DUR_PATH("/home/city"), &city);
		if (rc == 0)
			printf("%.*s is %lld and lives in %.*s\n", (int)name.len, name.str,
			       (long long)age.i, (int)city.len, city.str);
	}
	dur_iter_close(it);
	return rc < 0 ? rc : 0;
}

int main(void)
{
	dur_workspace *ws = NULL;
	dur_prefix *p = NULL;
	dur_view *txn = NULL;
	dur_coll book;
	int rc;

	if ((rc = dur_workspace_open("app-data", NULL, &ws)) == 0 &&
	    (rc = dur_attach(ws, "example/map", DUR_CREATE, NULL, &p)) == 0 &&
	    (rc = dur_begin(p, NULL, &txn)) == 0 && (rc = write_book(txn)) == 0 &&
	    (rc = dur_enter(dur_root(txn), &DUR_STR("before"), &book)) == 0 &&
	    (rc = print(book, "before:")) == 0 &&
	    (rc = dur_enter(dur_root(txn), &DUR_STR("book"), &book)) == 0)
		rc = print(book, "now:");
	if (rc < 0)
		fprintf(stderr, "%s\n", dur_message());
	dur_close(txn);
	dur_detach(p);
	dur_workspace_close(ws);
	return rc != 0;
}
