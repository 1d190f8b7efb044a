/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz program over every file of a folder, in place of libFuzzer. A property that does not
 * hold aborts; the name of the file was printed before. A folder without files is a failure.
 */
#include <dirent.h>
#include <stdio.h>

#include "fuzz.h"

#define INPUT_BYTES_MAX (64 * 1024)

static int run_file(const char *folder, const char *name)
{
	static uint8_t bytes[INPUT_BYTES_MAX];
	char path[4096];
	size_t length;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	printf("%s\n", path);
	(void)fflush(stdout);
	file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return -1;
	}
	length = fread(bytes, 1, sizeof(bytes), file);
	(void)fclose(file);
	(void)LLVMFuzzerTestOneInput(bytes, length);
	return 0;
}

int main(int argc, char **argv)
{
	const char *folder = argc == 2 ? argv[1] : "";
	DIR *directory = opendir(folder);
	struct dirent *entry;
	int ran = 0, failed = 0;

	if (!directory) {
		(void)fprintf(stderr, "usage: %s FOLDER, of inputs; '%s' is none\n", argv[0],
			      folder);
		return 2;
	}
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		failed += run_file(folder, entry->d_name) < 0;
		ran++;
	}
	(void)closedir(directory);
	if (ran == 0)
		(void)fprintf(stderr, "%s holds no input: nothing was tested\n", folder);
	return ran == 0 || failed > 0;
}
