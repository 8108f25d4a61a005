/* SPDX-License-Identifier: Apache-2.0 */
/* What the file_*.c files share. Nobody else includes this. */
#ifndef DURAMEN_ENGINE_FILE_PRIVATE_H
#define DURAMEN_ENGINE_FILE_PRIVATE_H

#include <pthread.h>

#include "engine/file.h"

#define FILE_WINDOW_PAGES(file) ((uint64_t)1 << (file)->window_shift)
#define FILE_PAGES_MAX    ((uint64_t)FILE_WINDOWS_MAX << FILE_WINDOW_SHIFT)

/* A range that does not lie within one window. */
struct file_range {
	struct file_range *next;
	uint64_t no, n;
	const uint8_t *bytes;
};

struct file_private {
	pthread_mutex_t mapping; /* guards the making of windows, and ranges */
	pthread_mutex_t growing; /* one thread grows at a time */
	struct file_range *ranges;
};

/* Maps the first window, as large as this process's address space allows: the others are as large. */
int file_window_first(struct file *file);
/* The window of page no, mapped. */
int file_window_open(struct file *file, uint64_t no, struct file_window **window);
/* Ends all mappings. */
void file_unmap(struct file *file);

#endif
