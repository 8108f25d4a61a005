/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a whole file: as of one state, every page must be exactly one of metadata, reachable, a
 * record since the last fold, retired, or free. Reachable pages are verified with their structure, counts,
 * keys and values; with history, those of every retained state too. Nothing is repaired.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/check_packs.h"
#include "engine/check_values.h"
#include "engine/grow.h"
#include "engine/history.h"
#include "engine/refs.h"
#include "engine/run.h"
#include "engine/store_private.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum mark {
	MARK_NONE = 0,
	MARK_METADATA,
	MARK_REACHABLE,
	MARK_RECORD,
	MARK_RETIRED,
	MARK_FREE,
	MARK_VISITED = 0x80,            /* or-ed: its subtree has been walked */
	MARK_KIND = 0x7f,
};

static const char *const mark_names[] = {
	"unaccounted for", "metadata", "reachable", "a state record", "retired", "free",
};

struct check {
	struct file *file;
	const struct check_options *options;
	uint8_t *marks;                 /* enum mark, by page */
	uint64_t pages;                 /* of the file, as of the state */
	uint64_t state;                 /* being walked */
	uint64_t reached;               /* pages of the newest state's trees */
	uint64_t records;               /* pages of records since the last fold */
	uint64_t walked;                /* pages, for progress */
	uint64_t told;                  /* walked when progress was last called */
	uint64_t problems;
	bool     values;                /* walking the newest catalog: what leaves hold is looked at */
	bool     old_state;             /* walking an older state than the newest */
	uint64_t *again;                /* pages of the newest state that were met again, once each time */
	size_t   n_again, cap_again, at_again;
	struct check_packs packs;
	int      canceled;
};

enum { PROGRESS_PAGES = 4096, PROBLEMS_MAX = 1000, RUN_LENGTH_AT = 24 };

static void __attribute__((format(printf, 3, 4)))
problem(struct check *check, uint64_t page, const char *format, ...)
{
	char text[256];
	va_list args;

	if (check->problems++ >= PROBLEMS_MAX || !check->options->report)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	check->options->report(check->options->ctx, &(struct store_problem){ .page = page,
		.state = check->state, .text = text });
}

static int progress(struct check *check, uint64_t pages)
{
	check->walked += pages;
	if (!check->options->progress || check->walked - check->told < PROGRESS_PAGES)
		return 0;
	check->told = check->walked;
	uint64_t done = check->walked < check->pages ? check->walked : check->pages;
	if (check->options->progress(check->options->ctx, done << PAGE_SHIFT, check->pages << PAGE_SHIFT))
		check->canceled = error_set(-ECANCELED, "the check was canceled");
	return check->canceled;
}

/* ---- Accounting ---- */

static void mark(struct check *check, uint64_t no, uint64_t n, enum mark kind)
{
	if (no >= check->pages || n > check->pages - no) {
		problem(check, no, "%llu pages that are %s lie behind the end of the file",
		        (unsigned long long)n, mark_names[kind]);
		return;
	}
	for (uint64_t i = no; i < no + n; i++) {
		uint8_t was = check->marks[i] & MARK_KIND;
		if (was != MARK_NONE)
			problem(check, i, "the page is %s and %s at once", mark_names[was], mark_names[kind]);
		else
			check->marks[i] = (uint8_t)kind;
	}
}

static int on_free(void *ctx, uint64_t no, uint64_t n)
{
	mark(ctx, no, n, MARK_FREE);
	return 0;
}

static int on_retired(void *ctx, const struct retired *r, uint64_t death)
{
	struct check *check = ctx;

	if (r->birth >= death)
		problem(check, r->no, "the page was retired in state %llu, before it was written in %llu",
		        (unsigned long long)death, (unsigned long long)r->birth);
	mark(check, r->no, r->n, MARK_RETIRED);
	return 0;
}

static int on_record(void *ctx, uint64_t no, uint64_t n)
{
	struct check *check = ctx;

	check->records += n;
	mark(check, no, n, MARK_RECORD);
	return progress(check, n);
}

/* ---- Trees ---- */

/* The walk has looked at tree pages; the contents of a large value are verified here. */
static void check_run(struct check *check, struct page_ptr ptr, uint64_t n)
{
	const uint8_t *bytes;
	int rc = file_map(check->file, ptr.no, n, &bytes);

	if (rc == 0 && page_kind((const struct page *)bytes) == PAGE_RUN)
		rc = run_verify(check->file, ptr, get_u64(bytes + RUN_LENGTH_AT));
	if (rc < 0)
		problem(check, ptr.no, "%s", error_text());
}

static void on_problem(void *ctx, struct page_ptr ptr, const char *text)
{
	problem(ctx, ptr.no, "%s", text);
}

/* Structure says nothing of what a leaf's values are, and a run's pages have none. */
static void check_contents(struct check *check, struct page_ptr ptr, uint64_t n)
{
	const struct pager pager = { .file = check->file };
	const struct page *page;

	if (n > 1) {
		check_run(check, ptr, n);
		return;
	}
	if (page_get(&pager, ptr, &page) < 0 || page_kind(page) != PAGE_LEAF) {
		check_run(check, ptr, n);
		return;
	}
	if (check->values && check_leaf_values(check->file, page, check, on_problem) < 0)
		check->canceled = -ENOMEM;
}

static int on_page(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level)
{
	struct check *check = ctx;

	if (ptr.birth > check->state)
		problem(check, ptr.no, "state %llu reaches a page of the later state %llu",
		        (unsigned long long)check->state, (unsigned long long)ptr.birth);
	if (check->old_state && check_packs_has(&check->packs, ptr)) {
		check_packs_met(&check->packs, ptr, true); /* what lies on its raw page is another's */
		return progress(check, n);
	}
	if (!check->old_state) {
		check->reached += n;
		mark(check, ptr.no, n, MARK_REACHABLE);
	} else if (ptr.no < check->pages && n <= check->pages - ptr.no) {
		for (uint64_t i = ptr.no; i < ptr.no + n; i++) {
			uint8_t was = check->marks[i] & MARK_KIND;
			if (was != MARK_REACHABLE && was != MARK_RETIRED)
				problem(check, i, "state %llu reaches the page, but it is %s",
				        (unsigned long long)check->state, mark_names[was]);
		}
	}
	if (ptr.no < check->pages) {
		if (level == 0 && !(check->marks[ptr.no] & MARK_VISITED))
			check_contents(check, ptr, n);
		check->marks[ptr.no] |= MARK_VISITED;
	}
	return progress(check, n);
}

/*
 * Whether it is the very page that another place named, too, and is said the same of: that is a parent
 * more. What is below it was verified then.
 */
static bool met_again(struct check *check, struct page_ptr ptr, unsigned level, uint64_t count)
{
	const uint8_t *bytes;
	const struct page *page;

	if (file_map(check->file, ptr.no, 1, &bytes) < 0)
		return false;
	page = (const struct page *)bytes;
	if (page->birth != ptr.birth || page_level(page) != level ||
	    (page_kind(page) == PAGE_RUN ? get_u64(bytes + RUN_LENGTH_AT) : ref_page_count(page)) != count)
		return false;
	if (check->canceled == 0)
		check->canceled = grow_array(&check->again, &check->cap_again, check->n_again + 1,
		                             sizeof *check->again, "checking");
	if (check->canceled == 0)
		check->again[check->n_again++] = ptr.no;
	return true;
}

static bool on_skip(void *ctx, struct page_ptr ptr, unsigned level, uint64_t count)
{
	struct check *check = ctx;

	if (check->old_state && check_packs_has(&check->packs, ptr))
		return check_packs_met(&check->packs, ptr, false);
	if (ptr.no >= check->pages || !(check->marks[ptr.no] & MARK_VISITED))
		return false;
	return check->old_state || met_again(check, ptr, level, count);
}

static int walk(struct check *check, const struct tree *tree)
{
	const struct pager raw = { .file = check->file };
	const struct pager pager = check->old_state ? check_packs_pager(&check->packs, check->state) : raw;
	const struct tree_visitor visitor = { .ctx = check, .page = on_page, .problem = on_problem,
		.skip = on_skip };
	int rc = tree_walk(&pager, tree, &visitor);

	if (rc < 0 && rc != -ECANCELED && rc != -ENOMEM) {
		problem(check, tree->root.no, "%s", error_text());
		rc = 0;
	}
	return rc < 0 ? rc : check->canceled;
}

/* What waits in the removal queue is reached as well. */
static int on_queued(void *ctx, const struct page_ref *ref)
{
	struct check *check = ctx;
	const struct pager pager = { .file = check->file };
	const struct tree_visitor visitor = { .ctx = check, .page = on_page, .problem = on_problem,
		.skip = on_skip };
	int rc = ref_walk(&pager, ref, &visitor);

	if (rc == DUR_E_CORRUPT) {
		problem(check, ref->ptr.no, "%s", error_text());
		rc = 0;
	}
	return rc < 0 ? rc : check->canceled;
}

static int walk_queue(struct check *check, const struct tree *system)
{
	const struct pager pager = { .file = check->file };
	int rc = ref_queue_each(&pager, system, on_queued, check);

	if (rc == DUR_E_CORRUPT) {
		problem(check, system->root.no, "%s", error_text());
		rc = 0;
	}
	return rc;
}

/* ---- Counts of parents ---- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Pages below `no` that were met again have no count. *found: how often `no` was. */
static void uncounted(struct check *check, uint64_t no, uint64_t *found)
{
	uint64_t n = 0;

	while (check->at_again < check->n_again && check->again[check->at_again] <= no) {
		uint64_t page = check->again[check->at_again++];
		n++;
		if (check->at_again < check->n_again && check->again[check->at_again] == page)
			continue;
		if (page == no)
			*found = n;
		else
			problem(check, page, "%llu places name the page, and one is counted",
			        (unsigned long long)n + 1);
		n = 0;
	}
}

static int on_count(void *ctx, uint64_t no, uint64_t extra)
{
	struct check *check = ctx;
	uint64_t found = 0;

	uncounted(check, no, &found);
	if (found != extra)
		problem(check, no, "%llu places name the page, and %llu are counted",
		        (unsigned long long)found + 1, (unsigned long long)extra + 1);
	return 0;
}

/* What the trees were found to share is what is counted, page by page. */
static int check_counts(struct check *check, const struct tree *system)
{
	const struct pager pager = { .file = check->file };
	uint64_t found = 0;
	int rc;

	if (check->n_again)
		qsort(check->again, check->n_again, sizeof *check->again, by_number);
	rc = ref_each(&pager, system, on_count, check);
	uncounted(check, UINT64_MAX, &found);
	if (rc < 0 && rc != -ENOMEM) {
		problem(check, system->root.no, "%s", error_text());
		rc = 0;
	}
	return rc;
}

static int check_entry(struct check *check, const struct tree *tree, struct cursor *c,
                       struct key_arena *arena)
{
	const struct page_ptr root = tree->root;
	const void *key;
	dur_value value;
	size_t len;
	int rc = 0;

	cursor_entry(c, &key, &len, NULL);
	key_arena_reset(arena);
	if (!(check->file->flags & FILE_RAW))
		rc = key_decode(key, len, arena, &value);
	if (rc < 0 && rc != -ENOMEM) {
		problem(check, root.no, "a key of the catalog: %s", error_text());
		rc = 0;
	}
	return rc;
}

/* Keys decode: structure says nothing of that. */
static int check_entries(struct check *check, const struct tree *tree)
{
	const struct pager pager = { .file = check->file };
	struct cursor *c = malloc(sizeof *c);
	struct key_arena arena = { 0 };
	int rc;

	if (!c)
		return error_system(ENOMEM, "checking");
	cursor_open(c, &pager, tree);
	for (rc = cursor_first(c); rc == 0; rc = rc == 0 ? cursor_next(c) : rc)
		rc = check_entry(check, tree, c, &arena);
	if (rc < 0 && rc != -ENOMEM)
		problem(check, tree->root.no, "%s", error_text());
	key_arena_free(&arena);
	free(c);
	return rc == -ENOMEM ? rc : 0;
}

/* ---- States ---- */

/* Writers go on meanwhile: retention may drop a state before its turn comes. */
static int check_old_state(struct check *check, const struct state *state)
{
	const struct check_options *o = check->options;
	int rc = o->hold ? o->hold(o->ctx, state->number) : 0;

	if (rc != 0)
		return rc == 1 ? 0 : rc;
	check->state = state->number;
	rc = walk(check, &state->catalog);
	if (o->let_go)
		o->let_go(o->ctx);
	return rc;
}

static void on_pack_problem(void *ctx, uint64_t page, const char *text)
{
	problem(ctx, page, "%s", text);
}

static int check_old_states(struct check *check, const struct record *newest)
{
	struct state list[64];
	uint64_t from = 0;
	uint32_t n;
	int rc;

	check->old_state = true;
	do {
		rc = history_states(check->file, newest, from, true, list, 64, &n);
		for (uint32_t i = 0; i < n && rc == 0; i++) {
			from = list[i].number + 1;
			if (list[i].number != newest->state.number)
				rc = check_old_state(check, &list[i]);
		}
	} while (rc == 0 && n == 64);
	if (rc < 0 && rc != -ECANCELED && rc != -ENOMEM) {
		problem(check, 0, "%s", error_text());
		rc = 0;
	}
	return rc;
}

static int account(struct check *check, const struct record *newest)
{
	const struct history_visitor visitor = { .ctx = check, .free = on_free, .retired = on_retired,
		.record = on_record };
	uint64_t from;
	int rc = history_visit(check->file, newest, &visitor);

	if (rc < 0) {
		if (rc == -ENOMEM || rc == -ECANCELED)
			return rc;
		problem(check, newest->state.record, "%s", error_text());
		return 0;
	}
	for (uint64_t no = 0; no < check->pages; no++) {
		if (check->marks[no] & MARK_KIND)
			continue;
		for (from = no; no + 1 < check->pages && !(check->marks[no + 1] & MARK_KIND); no++)
			;
		problem(check, from, "%llu pages are neither reachable nor retired nor free",
		        (unsigned long long)(no + 1 - from));
	}
	return 0;
}

/* What stat tells without looking is what is there. */
static void check_counters(struct check *check, const struct state *newest, uint64_t data)
{
	uint64_t live = check->reached + check->records, system = live - data;

	if (newest->live_pages != live || newest->system_pages != system)
		problem(check, newest->record, "the record counts %llu pages of its state, %lu of them of "
		        "the system; there are %llu and %llu", (unsigned long long)newest->live_pages,
		        (unsigned long)newest->system_pages, (unsigned long long)live,
		        (unsigned long long)system);
}

static int check_state(struct check *check, const struct record *newest)
{
	uint64_t data;
	int rc;

	check->state = newest->state.number;
	check->pages = newest->state.file_pages;
	rc = history_check_pages(check->file, check->pages);
	if (rc == DUR_E_CORRUPT)
		problem(check, newest->state.record, "the record says the file has %llu pages",
		        (unsigned long long)check->pages);
	if (rc < 0)
		return rc == DUR_E_CORRUPT ? 0 : rc;
	check->marks = calloc(check->pages, 1);
	if (!check->marks)
		return error_system(ENOMEM, "checking");
	mark(check, 0, PAGE_FIRST, MARK_METADATA);
	check->values = true;
	rc = walk(check, &newest->state.catalog);
	if (rc == 0)
		rc = walk_queue(check, &newest->state.system);
	check->values = false;
	data = check->reached;
	if (rc == 0)
		rc = walk(check, &newest->state.system);
	if (rc == 0 && check->problems == 0)
		rc = check_counts(check, &newest->state.system);
	if (rc == 0 && check->problems == 0)
		rc = check_entries(check, &newest->state.catalog);
	if (rc == 0)
		rc = account(check, newest);
	if (rc == 0 && check->problems == 0)
		check_counters(check, &newest->state, data);
	if (rc == 0)
		rc = check_packs_open(&check->packs, check->file, &newest->state.system, on_pack_problem,
		                      check);
	if (rc == 0)
		rc = check_packs_all(&check->packs);
	if (rc == 0 && check->options->history)
		rc = check_old_states(check, newest);
	check_packs_close(&check->packs);
	free(check->again);
	free(check->marks);
	return rc;
}

/* The state of a file that nobody has attached: the better slot's whose record verifies. */
static int best_record(struct check *check, struct record *record)
{
	struct slot slots[2];
	bool tried[2];
	int best;

	for (int i = 0; i < 2; i++)
		tried[i] = file_slot_read(check->file, i, &slots[i]) != 0 || slots[i].state == 0;
	if (tried[0] && tried[1])
		return error_set(DUR_E_CORRUPT, "neither commit slot is whole: restore the file from a backup");
	for (int round = 0; round < 2; round++) {
		best = tried[0] ? 1 : tried[1] ? 0 : slot_better(&slots[1], &slots[0]);
		if (tried[best])
			break;
		tried[best] = true;
		if (record_read(check->file, slots[best].record, slots[best].state, &slots[best].record_hash,
		                true, record) == 0)
			return 0;
		check->state = slots[best].state;
		/* an unconfirmed state may have been cut off: recovery falls back from it */
		if (slots[best].base == slots[best].state)
			problem(check, slots[best].record, "%s", error_text());
	}
	return DUR_E_CORRUPT;
}

int store_check(struct store *store, const struct state *newest, const struct check_options *options)
{
	struct check check = { .file = store_file(store), .options = options };
	struct record record = { 0 };
	int rc;

	if (newest)
		rc = record_read(check.file, newest->record, newest->number, NULL, true, &record);
	else
		rc = best_record(&check, &record);
	if (rc == DUR_E_CORRUPT && check.problems == 0)
		problem(&check, newest ? newest->record : 0, "%s", error_text());
	if (rc == 0)
		rc = check_state(&check, &record);
	record_free(&record);
	if (rc == 0 && check.problems)
		rc = error_set(DUR_E_CORRUPT, "%llu problems were found: restore from a backup, or copy what can "
		               "be read with `duramen dump`", (unsigned long long)check.problems);
	return rc;
}
