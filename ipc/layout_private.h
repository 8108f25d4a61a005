/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of a coordination file, version 1. All integers are little-endian; what is written by
 * different processes lies in different cache lines. The file is always exactly LAYOUT_BYTES long,
 * every byte of it written, mapped whole and shared by every process that has the prefix attached.
 *
 *    OFFSET    SIZE  MEANING
 *         0      64  stamp: what the file was made for; written last, while nobody has it open
 *        64      64  published: what the writer writes at a commit and a reader reads at an open
 *       128      64  waiters: the "has waiters" flags, set by waiters, never cleared
 *       192      64  slots: how many slots were ever claimed at one time
 *       256      64  writer: words that only the holder of the writer lock reads and writes
 *       320      64  holder: who holds the writer lock, for messages
 *       384      64  lock: futex of those who wait for the writer lock
 *       448    3648  zero
 *      4096    2048  slot 0
 *       ...
 *   1050624    2048  slot 511
 *
 *    stamp     0  8  magic "DuraCord"
 *              8  4  layout version, 1
 *             12  4  LAYOUT_BYTES
 *             16 16  UUID of the prefix
 *             32  8  device of the page file
 *             40  8  inode of the page file
 *             48 16  boot id
 *
 *    published 0  8  visible: the newest visible state; 0: none yet. Its low half is a futex
 *              8  8  durable: the newest state on disk; 0: none. Its low half is a futex
 *             16 32  ring: two entries of { 8 state number, 8 page number of its record }
 *             48 16  zero
 *
 *    slot      0  4  pid of the owner, for people; 0: nobody
 *              4  4  how many of its cells were ever in use since it was claimed
 *              8  4  members of the overflow cell, for people
 *             12  4  zero
 *             16 16  overflow cell; its state pins [state, infinity)
 *             32 32  zero
 *             64 16  cell 0
 *            ...
 *           2032 16  cell 123
 *
 *    cell      0  8  pinned state; 0: free; all ones: EVERYTHING, the reader is between two stores
 *              8  8  since when, milliseconds of CLOCK_MONOTONIC
 *
 * Record locks (fcntl F_SETLK), one byte each. They are at offsets of their own meaning, not tied
 * to the bytes stored there:
 *         0  opening: exclusive while a process opens, checks or resets the file
 *         1  claim: shared while a process has the file open, exclusive to reset or to drop it
 *    4096 + 2048 i  slot i belongs to the process that holds it
 */
#ifndef DURAMEN_IPC_LAYOUT_PRIVATE_H
#define DURAMEN_IPC_LAYOUT_PRIVATE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LAYOUT_VERSION = 1,
	LAYOUT_SLOTS = 512,
	LAYOUT_SLOT_BYTES = 2048,
	LAYOUT_SLOTS_AT = 4096,
	LAYOUT_CELLS = 124,
	LAYOUT_RING = 2,
	LAYOUT_BYTES = LAYOUT_SLOTS_AT + LAYOUT_SLOTS * LAYOUT_SLOT_BYTES,
	LAYOUT_STAMP_BYTES = 64,

	LAYOUT_LOCK_OPENING = 0,
	LAYOUT_LOCK_CLAIM = 1
};

#define LAYOUT_MAGIC "DuraCord"
#define CACHE_LINE   64

/* In a cell: every state is pinned. */
#define PIN_EVERYTHING UINT64_MAX

/* Every word is an atomic: other processes write at any time, damaged files hold anything. */
typedef _Atomic uint32_t shared_u32;
typedef _Atomic uint64_t shared_u64;

#define load_relaxed(word)         atomic_load_explicit(word, memory_order_relaxed)
#define load_acquire(word)         atomic_load_explicit(word, memory_order_acquire)
#define load_seq_cst(word)         atomic_load_explicit(word, memory_order_seq_cst)
#define store_relaxed(word, value) atomic_store_explicit(word, value, memory_order_relaxed)
#define store_release(word, value) atomic_store_explicit(word, value, memory_order_release)
#define store_seq_cst(word, value) atomic_store_explicit(word, value, memory_order_seq_cst)

struct layout_stamp {
	uint8_t magic[8];
	uint32_t version;
	uint32_t bytes;
	uint8_t uuid[16];
	uint64_t device;
	uint64_t inode;
	uint8_t boot[16];
};

struct layout_ring_entry {
	shared_u64 state;
	shared_u64 record;
};

struct layout_published {
	shared_u64 visible;
	shared_u64 durable;
	struct layout_ring_entry ring[LAYOUT_RING];
};

struct layout_cell {
	shared_u64 state;
	shared_u64 since_ms;
};

struct layout_slot {
	shared_u32 pid;
	shared_u32 cells_used;
	shared_u32 overflow_members;
	uint32_t zero;
	struct layout_cell overflow;
	_Alignas(CACHE_LINE) struct layout_cell cells[LAYOUT_CELLS];
};

struct layout {
	struct layout_stamp stamp;
	_Alignas(CACHE_LINE) struct layout_published published;
	_Alignas(CACHE_LINE) struct {
		shared_u32 visible, durable;
	} waiters;
	_Alignas(CACHE_LINE) struct {
		shared_u32 used;
	} slots_line;
	_Alignas(CACHE_LINE) struct {
		shared_u64 next, epoch;
		shared_u32 unclean;
	} writer;
	_Alignas(CACHE_LINE) struct {
		shared_u32 pid;
		uint32_t zero;
		shared_u64 name[2];
		shared_u64 since_ns;
	} holder;
	_Alignas(CACHE_LINE) struct {
		shared_u32 turn;   /* futex: one more at each unlock */
		shared_u32 wanted; /* counts up whenever somebody begins to wait; 0: nobody does */
	} lock;
	_Alignas(LAYOUT_SLOTS_AT) struct layout_slot slots[LAYOUT_SLOTS];
};

static_assert(sizeof(struct layout_stamp) == LAYOUT_STAMP_BYTES, "stamp");
static_assert(sizeof(struct layout_cell) == 16, "cell");
static_assert(offsetof(struct layout_slot, overflow) == 16, "overflow cell");
static_assert(offsetof(struct layout_slot, cells) == 64, "cells");
static_assert(sizeof(struct layout_slot) == LAYOUT_SLOT_BYTES, "slot");
static_assert(offsetof(struct layout, published) == 64, "published");
static_assert(offsetof(struct layout_published, ring) == 16, "ring");
static_assert(sizeof(struct layout_published) == 48, "published fits a cache line");
static_assert(offsetof(struct layout, waiters) == 128, "waiters");
static_assert(offsetof(struct layout, slots_line) == 192, "slots");
static_assert(offsetof(struct layout, writer) == 256, "writer");
static_assert(offsetof(struct layout, holder) == 320, "holder");
static_assert(offsetof(struct layout, lock) == 384, "lock");
static_assert(offsetof(struct layout, slots) == LAYOUT_SLOTS_AT, "slots");
static_assert(sizeof(struct layout) == LAYOUT_BYTES, "file");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock inside an atomic would not be shared");

#endif
