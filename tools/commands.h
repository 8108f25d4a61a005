/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, one file each: cmd_<name>.c. */
#ifndef DURAMEN_TOOLS_COMMANDS_H
#define DURAMEN_TOOLS_COMMANDS_H

#include "options.h"

extern const struct command cmd_create, cmd_ls, cmd_drop;
extern const struct command cmd_put, cmd_get, cmd_del, cmd_scan;
extern const struct command cmd_load, cmd_dump, cmd_tree;
extern const struct command cmd_log, cmd_diff, cmd_restore;
extern const struct command cmd_wait, cmd_watch;
extern const struct command cmd_backup, cmd_receive, cmd_compact, cmd_pack;
extern const struct command cmd_keep, cmd_name, cmd_unname, cmd_names;
extern const struct command cmd_stat, cmd_readers, cmd_check;

#endif
