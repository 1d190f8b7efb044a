/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/pins.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool is_bpf_fs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC && access(path, W_OK) == 0;
}

bool pins_can_be(const char *directory)
{
	char parent[PINS_PATH_MAX];

	if (is_bpf_fs(directory))
		return true;
	if (snprintf(parent, sizeof(parent), "%s", directory) >= (int)sizeof(parent))
		return false;
	return access(directory, F_OK) < 0 && is_bpf_fs(dirname(parent));
}

const char *pins_directory(const char *setting)
{
	static const char *const usual[] = { "/run/fairlead-pins", "/sys/fs/bpf/fairlead" };

	if (strcmp(setting, "off") == 0)
		return NULL;
	if (strcmp(setting, "auto") != 0)
		return setting;
	return pins_can_be(usual[0]) ? usual[0] : usual[1];
}

int pins_path(const char *directory, const char *name, char ret[PINS_PATH_MAX])
{
	int length = snprintf(ret, PINS_PATH_MAX, "%s/%s", directory, name);

	return length < PINS_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* It may be somebody else's directory, with ours in it: it goes only if it is empty then. */
int pins_remove(const char *directory)
{
	static const char *const names[] = { "clients", "flows6", "flows4" };
	char path[PINS_PATH_MAX];
	int r = -ENOENT;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (pins_path(directory, names[i], path) == 0 && unlink(path) == 0)
			r = 0;
	(void)rmdir(directory);
	return r;
}
