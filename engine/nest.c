/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All walks over what is embedded keep the ends of the collections they are in on a stack; a cell is at
 * most TREE_CELL_MAX bytes, so that stack has a fixed size.
 */
#include "engine/nest.h"

#include "engine/run.h"
#include "internal/error.h"

/* ---- The cell of a tree ---- */

void nest_tree_read(const uint8_t cell[NEST_TREE_CELL], struct nest_tree *tree)
{
	*tree = (struct nest_tree){
		.kind = cell[0] & NEST_KIND,
		.depth = cell[NEST_DEPTH_AT],
		.placed = get_u64(cell + NEST_PLACED_AT),
		.root = { .birth = get_u64(cell + NEST_ROOT_AT),
		          .no = get_u48(cell + NEST_ROOT_AT + 8) },
		.count = get_u48(cell + NEST_COUNT_AT),
	};
}

void nest_tree_write(uint8_t cell[NEST_TREE_CELL], const struct nest_tree *tree)
{
	cell[0] = (uint8_t)(tree->kind | NEST_REFS);
	put_u64(cell + NEST_PLACED_AT, tree->placed);
	put_u64(cell + NEST_ROOT_AT, tree->root.birth);
	put_u48(cell + NEST_ROOT_AT + 8, tree->root.no);
	put_u48(cell + NEST_COUNT_AT, tree->count);
	cell[NEST_DEPTH_AT] = (uint8_t)tree->depth;
}

/* ---- What is embedded ---- */

static bool has_keys(unsigned kind)
{
	return kind != DUR_LIST;
}

static bool has_cells(unsigned kind)
{
	return kind == DUR_MAP || kind == DUR_RAW_MAP || kind == DUR_LIST;
}

uint64_t nest_count(const uint8_t *cell, size_t len)
{
	if ((cell[0] & NEST_KIND) == DUR_ROPE)
		return len - 1;
	const uint8_t *n = cell + 1;
	return node_length(&n);
}

void nest_entries_open(struct nest_entries *it, const uint8_t *cell, size_t len)
{
	*it = (struct nest_entries){
		.cell = cell,
		.next = cell + 1,
		.end = cell + len,
		.kind = cell[0] & NEST_KIND,
	};
	it->left = node_length(&it->next);
}

int nest_entries_next(struct nest_entries *it, struct nest_entry *entry)
{
	if (!it->left)
		return 1;
	it->left--;
	*entry = (struct nest_entry){ .at = (uint32_t)(it->next - it->cell) };
	if (has_keys(it->kind)) {
		entry->key_len = node_length(&it->next);
		entry->key = it->next;
		it->next += entry->key_len;
	}
	if (has_cells(it->kind)) {
		entry->cell_len = node_length(&it->next);
		entry->cell = it->next;
		it->next += entry->cell_len;
	}
	entry->end = (uint32_t)(it->next - it->cell);
	return 0;
}

/* ---- The pages that a cell names ---- */

void nest_refs_open(struct nest_refs *it, const uint8_t *cell, size_t len)
{
	it->cell = it->next = cell;
	it->end = cell + len;
	it->depth = 0;
}

/* What the cell [cell, end) names itself. false: nothing; if it is embedded, it is entered. */
static bool ref_of(struct nest_refs *it, const uint8_t *cell, const uint8_t *end,
                   struct nest_ref *ref)
{
	if (!(cell[0] & NEST_REFS))
		return false;
	if (nest_is_embedded(cell)) {
		const uint8_t *next = cell + 1;
		it->open[it->depth].kind = cell[0] & NEST_KIND;
		it->open[it->depth].left = (uint16_t)node_length(&next);
		it->open[it->depth++].end = end;
		it->next = next;
		return false;
	}
	*ref = (struct nest_ref){
		.is_tree = nest_is_tree(cell),
		.from = (uint32_t)(cell - it->cell),
	};
	if (ref->is_tree) {
		nest_tree_read(cell, &ref->tree);
		ref->at = (uint32_t)(cell + NEST_ROOT_AT - it->cell);
		ref->ptr = ref->tree.root;
	} else {
		const uint8_t *run = end - CELL_RUN_BYTES;
		ref->at = (uint32_t)(run - it->cell);
		ref->ptr = (struct page_ptr){ .birth = get_u64(run), .no = get_u48(run + 8) };
		ref->length = get_u64(run + 14);
	}
	return true;
}

int nest_refs_next(struct nest_refs *it, struct nest_ref *ref)
{
	if (!it->depth) {
		if (it->next != it->cell)
			return 1;
		it->next = it->end;
		if (ref_of(it, it->cell, it->end, ref))
			return 0;
	}
	while (it->depth) {
		unsigned top = it->depth - 1;
		if (!it->open[top].left) {
			it->next = it->open[top].end;
			it->depth--;
			continue;
		}
		it->open[top].left--;
		if (has_keys(it->open[top].kind)) {
			unsigned key_len = node_length(&it->next);
			it->next += key_len;
		}
		if (!has_cells(it->open[top].kind))
			continue;
		unsigned len = node_length(&it->next);
		const uint8_t *cell = it->next;
		it->next += len;
		if (ref_of(it, cell, cell + len, ref))
			return 0;
	}
	it->next = it->end;
	return 1;
}

/* ---- Checking ---- */

struct nest_level {
	const uint8_t *end, *key; /* the key before, NULL: none yet */
	uint32_t key_len;
	uint16_t left;
	uint8_t kind;
	bool refs, told;          /* a cell in it names pages; byte 0 says so */
};

struct nest_checker {
	const uint8_t *at;
	const char *why;
	bool dirty;
	unsigned depth;
	struct nest_level level[NEST_DEPTH_MAX];
};

static bool no(struct nest_checker *c, const char *why)
{
	c->why = why;
	return false;
}

/* A length of one or two bytes in its shortest form, before end. */
static bool length(struct nest_checker *c, const uint8_t *end, unsigned *v)
{
	const uint8_t *from = c->at;
	if (from == end || (*from & 0x80 && end - from < 2))
		return no(c, "an embedded collection is cut off");
	*v = node_length(&c->at);
	if (*v < 128 && c->at > from + 1)
		return no(c, "a length in an embedded collection is not in its shortest form");
	return true;
}

/* The same, and so many bytes lie before end. */
static bool bytes(struct nest_checker *c, const uint8_t *end, unsigned *v)
{
	return length(c, end, v) && (*v <= end - c->at || no(c, "an embedded collection is cut off"));
}

static bool check_number(struct nest_checker *c, uint64_t number)
{
	if (number >= PAGE_FIRST && number <= PAGE_NUMBER_MAX)
		return true;
	return (c->dirty && number & PAGE_DIRTY) || no(c, "a cell names a page that cannot be");
}

static bool check_tree(struct nest_checker *c, const uint8_t *cell, size_t len)
{
	struct nest_tree tree;
	if (len != NEST_TREE_CELL || !(cell[0] & NEST_REFS))
		return no(c, "a collection's cell is not as long as it must be");
	nest_tree_read(cell, &tree);
	if (tree.count == 0 || tree.count > NODE_COUNT_MAX || tree.depth == 0 ||
	    tree.depth > TREE_DEPTH_MAX)
		return no(c, "a collection's count or depth cannot be");
	return check_number(c, tree.root.no);
}

static bool check_run(struct nest_checker *c, const uint8_t *cell, size_t len)
{
	if (len <= CELL_RUN_BYTES)
		return no(c, "a cell is too short for the run it names");
	const uint8_t *run = cell + len - CELL_RUN_BYTES;
	uint64_t number = get_u48(run + 8);
	if (number < PAGE_FIRST || number > PAGE_NUMBER_MAX || get_u64(run + 14) > RUN_LENGTH_MAX)
		return no(c, "a cell names a run that cannot be");
	return true;
}

/* A cell within [c->at, end), all of it. If it is an embedded collection it is entered. */
static bool check_cell(struct nest_checker *c, const uint8_t *end)
{
	const uint8_t *cell = c->at;
	size_t len = (size_t)(end - cell);
	unsigned n;
	if (len == 0)
		return no(c, "a cell is empty");
	if (c->depth && cell[0] & NEST_REFS)
		c->level[c->depth - 1].refs = true;
	c->at = end;
	if ((cell[0] & NEST_KIND) >= DUR_OBJECT)
		return no(c, "a cell is of a kind that this version does not know");
	if (nest_is_tree(cell))
		return check_tree(c, cell, len);
	if (!nest_is_embedded(cell))
		return !(cell[0] & NEST_REFS) || check_run(c, cell, len);
	if ((cell[0] & NEST_KIND) == DUR_ROPE)
		return !(cell[0] & NEST_REFS) || no(c, "an embedded rope cannot name pages");
	c->at = cell + 1;
	if (!length(c, end, &n))
		return false;
	if (c->depth == NEST_DEPTH_MAX)
		return no(c, "collections are embedded too deep");
	c->level[c->depth++] = (struct nest_level){
		.end = end,
		.left = (uint16_t)n,
		.kind = cell[0] & NEST_KIND,
		.told = cell[0] & NEST_REFS,
	};
	return true;
}

static bool check_key(struct nest_checker *c, struct nest_level *top)
{
	unsigned len;
	if (!bytes(c, top->end, &len))
		return false;
	if (len > TREE_KEY_MAX)
		return no(c, "a key is too long");
	if (top->key) {
		unsigned shorter = len < top->key_len ? len : top->key_len;
		int order = memcmp(top->key, c->at, shorter);
		if (order > 0 || (order == 0 && top->key_len >= len))
			return no(c, "keys of an embedded collection are out of order");
	}
	top->key = c->at;
	top->key_len = len;
	c->at += len;
	return true;
}

/* The next entry of the innermost collection, or its end. */
static bool check_next(struct nest_checker *c)
{
	struct nest_level *top = &c->level[c->depth - 1];
	unsigned len;
	if (!top->left) {
		if (c->at != top->end)
			return no(c, "an embedded collection is longer than its entries");
		c->depth--;
		return top->refs == top->told ||
		       no(c, "a cell does not say rightly whether it names pages");
	}
	top->left--;
	if (has_keys(top->kind) && !check_key(c, top))
		return false;
	if (!has_cells(top->kind))
		return true;
	return bytes(c, top->end, &len) && check_cell(c, c->at + len);
}

bool nest_check(const uint8_t *cell, size_t len, bool dirty, const char **why)
{
	if (likely(len && nest_is_plain(cell)))
		return true;

	struct nest_checker c;
	c.at = cell;
	c.depth = 0;
	c.dirty = dirty;
	bool good = check_cell(&c, cell + len);
	while (good && c.depth)
		good = check_next(&c);
	if (!good)
		*why = c.why;
	return good;
}

/* ---- The way down ---- */

int nest_way_enter(struct nest_way *way, struct page_ptr root)
{
	if (way->depth && root.no == way->mark.no && root.birth == way->mark.birth)
		return error_set(DUR_E_CORRUPT, "page %llu: the collection whose root this is holds itself; "
		                 "run `duramen check`, restore from a backup",
		                 (unsigned long long)root.no);
	way->depth++;
	if ((way->depth & (way->depth - 1)) == 0)
		way->mark = root;
	return 0;
}
