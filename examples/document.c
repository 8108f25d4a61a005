/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A nested document: `document` writes one whole, by path and by handles, and prints what came of
 * it.
 */
#include <duramen.h>
#include <stdio.h>

/* Results need not be looked at: the commit reports a write that failed on the way. */
static int write_document(dur_view *txn)
{
	dur_value alice[] = { DUR_STR("name"), DUR_STR("Alice"), DUR_STR("age"), DUR_INT(25) };
	dur_coll root = dur_root(txn), users, fruits, bob;
	dur_value none = DUR_NULL();

	dur_make(root, &DUR_PATH("/users"), DUR_LIST, &users);         /* or opens it */
	dur_append(users, &DUR_NEW(DUR_MAP, alice, 4));                /* whole: one call */
	dur_make(users, &DUR_PATH("/-"), DUR_MAP, &bob);               /* by handle */
	dur_put(bob, &DUR_STR("name"), &DUR_STR("Bob"));
	dur_put(bob, &DUR_STR("age"), &DUR_INT(42));
	dur_make(root, &DUR_PATH("/shop/fruits"), DUR_LIST, &fruits);  /* makes /shop too */
	dur_append(fruits, &DUR_STR("apple"));
	dur_put(root, &DUR_STR("food"), &DUR_COLL(fruits));            /* a clone, independent */
	dur_append(fruits, &DUR_STR("pear"));                          /* not of /food */
	dur_put(root, &DUR_PATH("/users/0/age"), &DUR_INT(26));        /* by path */
	dur_insert(users, 0, &none, 1);                                /* bob is at 2 now ... */
	dur_put(bob, &DUR_STR("city"), &DUR_STR("Bergen"));            /* ... and still valid */
	return dur_commit(txn, &(dur_commit_options){ .label = "first users" }, NULL);
}

static void print_scalar(const dur_value *v)
{
	if (v->type == DUR_STR)
		printf(" %.*s\n", (int)v->len, v->str);
	else if (v->type == DUR_INT)
		printf(" %lld\n", (long long)v->i);
	else
		printf(" -\n");
}

/* What a collection holds comes with handles to the collections in it. */
static int print(dur_coll c, int indent)
{
	dur_iter *it = NULL;
	dur_value key, value;
	int rc = dur_scan(c, NULL, &it);

	while (rc == 0 && (rc = dur_next(it, &key, &value)) == 0) {
		if (key.type == DUR_STR)
			printf("%*s%.*s:", indent, "", (int)key.len, key.str);
		else
			printf("%*s%lld:", indent, "", (long long)key.i);
		if (value.type == DUR_MAP || value.type == DUR_LIST) {
			printf("\n");
			rc = print(value.coll, indent + 2);
		} else {
			print_scalar(&value);
		}
	}
	dur_iter_close(it);
	return rc == DUR_NONE ? 0 : rc;
}

int main(void)
{
	dur_workspace *ws = NULL;
	dur_prefix *p = NULL;
	dur_view *txn = NULL;
	int rc;

	if ((rc = dur_workspace_open("app-data", NULL, &ws)) < 0 ||
	    (rc = dur_attach(ws, "example/document", DUR_CREATE, NULL, &p)) < 0 ||
	    (rc = dur_begin(p, NULL, &txn)) < 0 || (rc = write_document(txn)) < 0 ||
	    (rc = print(dur_root(txn), 0)) < 0)
		fprintf(stderr, "%s\n", dur_message());
	dur_close(txn);
	dur_detach(p);
	dur_workspace_close(ws);
	return rc != 0;
}
