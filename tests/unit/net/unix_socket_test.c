/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "net/unix_socket.h"

static char folder[] = "/tmp/fairlead-unit-XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/run/socket", folder);
	return 0;
}

static int teardown(void **state)
{
	char below[64];

	(void)state;
	(void)unlink(path);
	(void)snprintf(below, sizeof(below), "%s/run", folder);
	(void)rmdir(below);
	return rmdir(folder);
}

static bool can_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

	strcpy(address.sun_path, path);
	r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return r == 0;
}

static void listens_with_that_mode_in_a_folder_that_is_made(void **state)
{
	struct stat status;
	struct error err;
	int fd = unix_socket_listen(path, SOCK_STREAM, 0660, (gid_t)-1, &err);

	(void)state;
	assert_true(fd >= 0);
	assert_true(can_connect());
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
	close(fd);
}

static void socket_that_somebody_left_is_replaced(void **state)
{
	struct error err;
	int fd = unix_socket_listen(path, SOCK_STREAM, 0600, (gid_t)-1, &err);

	(void)state;
	close(fd); /* the file stays */
	fd = unix_socket_listen(path, SOCK_STREAM, 0600, (gid_t)-1, &err);
	assert_true(fd >= 0);
	assert_true(can_connect());
	close(fd);
}

static void socket_that_is_in_use_stays(void **state)
{
	struct error err;
	int fd = unix_socket_listen(path, SOCK_STREAM, 0600, (gid_t)-1, &err);

	(void)state;
	assert_int_equal(unix_socket_listen(path, SOCK_STREAM, 0600, (gid_t)-1, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another program listens there"));
	assert_true(can_connect());
	close(fd);
}

static void file_that_is_no_socket_stays(void **state)
{
	struct error err;
	int fd = unix_socket_listen(path, SOCK_STREAM, 0600, (gid_t)-1, &err);

	(void)state;
	close(fd);
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(unix_socket_listen(path, SOCK_STREAM, 0600, (gid_t)-1, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "a file that is no socket is there"));
	assert_int_equal(access(path, F_OK), 0);
}

static void path_that_is_too_long_is_told(void **state)
{
	char longer[200];
	struct error err;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(unix_socket_listen(longer, SOCK_STREAM, 0600, (gid_t)-1, &err),
			 -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "107 characters at most"));
	/* the folder that the others have made, for teardown() */
	assert_true(unix_socket_listen(path, SOCK_STREAM, 0600, (gid_t)-1, &err) >= 0);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(listens_with_that_mode_in_a_folder_that_is_made),
		IN_FOLDER(socket_that_somebody_left_is_replaced),
		IN_FOLDER(socket_that_is_in_use_stays),
		IN_FOLDER(file_that_is_no_socket_stays),
		IN_FOLDER(path_that_is_too_long_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
