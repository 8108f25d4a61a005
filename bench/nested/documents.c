/* SPDX-License-Identifier: Apache-2.0 */
/* Many small objects in a list: what they take up beside their compact JSON text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/data.h"
#include "nested.h"

enum { FIELDS = 5 };

struct person {
	char name[24], city[24];
	int64_t id, age;
	bool active;
};

static void person_of(uint64_t i, struct person *p)
{
	uint64_t random = data_mix(i + 1);

	snprintf(p->name, sizeof(p->name), "user-%08llx", (unsigned long long)(random & UINT32_MAX));
	snprintf(p->city, sizeof(p->city), "city %llu", (unsigned long long)(random >> 32) % 1000);
	p->id = (int64_t)i;
	p->age = 18 + (int64_t)(random % 70);
	p->active = random & 1;
}

static size_t json_length(const struct person *p)
{
	char text[200];

	return (size_t)snprintf(text, sizeof(text),
	                        "{\"active\":%s,\"age\":%lld,\"city\":\"%s\",\"id\":%lld,"
	                        "\"name\":\"%s\"},",
	                        p->active ? "true" : "false", (long long)p->age, p->city,
	                        (long long)p->id, p->name);
}

void section_documents(dur_workspace *ws, const struct settings *o)
{
	uint64_t text = strlen("{\"people\":[]}"), live;
	dur_prefix_stat stat;
	dur_prefix *p;
	dur_view *txn;
	dur_coll list;
	double start;

	NEED(dur_attach(ws, "documents", DUR_CREATE, &(dur_attach_options){ .keep = "last:1" }, &p));
	NEED(dur_begin(p, NULL, &txn));
	NEED(dur_make(dur_root(txn), &DUR_STR("people"), DUR_LIST, &list));
	start = seconds();
	for (uint64_t i = 0; i < o->documents; i++) {
		struct person person;
		person_of(i, &person);
		text += json_length(&person);
		dur_value field[2 * FIELDS] = {
			DUR_STR("active"), DUR_BOOL(person.active), DUR_STR("age"),
			DUR_INT(person.age), DUR_STR("city"), DUR_STR(person.city), DUR_STR("id"),
			DUR_INT(person.id), DUR_STR("name"), DUR_STR(person.name),
		};
		NEED(dur_append(list, &DUR_NEW(DUR_MAP, field, 2 * FIELDS)));
	}
	start = seconds() - start;
	NEED(dur_commit(txn, NULL, NULL));
	dur_close(txn);
	NEED(dur_stat(p, &stat));
	live = stat.live_bytes;
	report(&(struct limit){ "objects of 5 fields appended to a list", "k/s",
	                        (double)o->documents / start / 1e3, 0, true });
	report(&(struct limit){ "their pages beside their compact JSON text", "x",
	                        (double)live / (double)text, 1.3, false });
	NEED(dur_detach(p));
}
