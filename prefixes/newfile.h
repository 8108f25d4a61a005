/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page file in the making: it has no name until it is whole and flushed, and then gets it in
 * one step. So nobody ever sees half of one, whoever is killed when. Where the file system cannot
 * make files without a name, or an existing file is to be replaced, it is called PATH.new on its
 * way; who makes the next one removes what a killed process has left there.
 */
#ifndef DURAMEN_PREFIXES_NEWFILE_H
#define DURAMEN_PREFIXES_NEWFILE_H

#include <stdbool.h>

struct newfile {
	int fd;
	char *path; /* what it will be called */
	char *temp; /* what it is called; NULL: nothing */
};

/* -EBUSY: another process is making one for the same path. */
int newfile_open(const char *path, unsigned mode, struct newfile *file);
/*
 * Gives it its name, and flushes the folder. replace: in place of the file that has it; else
 * -EEXIST if somebody was faster.
 */
int newfile_name(struct newfile *file, bool replace);
/* Closes it; without its name it is gone. {.fd = -1} is fine. */
void newfile_close(struct newfile *file);
/* What a killed process has left beside path, if nobody is at it. */
void newfile_clean(const char *path);

/* A file without a name beside path, for what need not outlive the process. */
int newfile_scratch(const char *path, int *fd);

#endif
