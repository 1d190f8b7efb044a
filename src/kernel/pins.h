/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps with a name in a BPF file system (bpf(2), BPF_OBJ_PIN), so that they are there for the next
 * run, all in one directory of ours.
 */
#ifndef FAIRLEAD_KERNEL_PINS_H
#define FAIRLEAD_KERNEL_PINS_H

#include <stdbool.h>

#define PINS_PATH_MAX 256

/* Whether there can be such a directory: what it is in is a BPF file system, which may be written. */
bool pins_can_be(const char *directory);

/* The directory that a setting names: itself, NULL for "off", the first that can be for "auto". */
const char *pins_directory(const char *setting);

/* Returns 0 or -ENAMETOOLONG. */
int pins_path(const char *directory, const char *name, char ret[PINS_PATH_MAX]);

/* With the directory. Returns 0 or -errno, -ENOENT where there were none. */
int pins_remove(const char *directory);

#endif
