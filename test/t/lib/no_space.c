/*-------------------------------------------------------------------------
 *
 * no_space.c
 *	  To be preloaded: a directory on a disk that is full, or does not answer.
 *
 * While the file that TARN_FULL_CONTROL names exists, every write to a file
 * below the directory that stands in it, after "full " or "hang ", fails with
 * ENOSPC, or waits until the file is gone.  A file system of its own would
 * need root.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

typedef ssize_t (*WriteFn) (int, const void *, size_t);
typedef ssize_t (*PwriteFn) (int, const void *, size_t, off_t);
typedef ssize_t (*WritevFn) (int, const struct iovec *, int);
typedef ssize_t (*PwritevFn) (int, const struct iovec *, int, off_t);

/* What the control file says: its first word and the directory; 0 when there is nothing to do. */
static int
read_control(char *word, char *directory)
{
	const char *control = getenv("TARN_FULL_CONTROL");
	char		text[PATH_MAX];
	ssize_t		length;
	int			file;

	if (control == NULL || (file = open(control, O_RDONLY | O_CLOEXEC)) < 0)
		return 0;
	length = read(file, text, sizeof(text) - 1);
	close(file);
	text[length > 0 ? length : 0] = '\0';
	return sscanf(text, "%7s %4095[^\n]", word, directory) == 2;
}

static int
is_below(int fd, const char *directory)
{
	char		path[PATH_MAX];
	char		link[64];
	ssize_t		length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= 0)
		return 0;
	path[length] = '\0';
	return strncmp(path, directory, strlen(directory)) == 0;
}

static int
is_full(int fd)
{
	char		word[8];
	char		directory[PATH_MAX];

	while (read_control(word, directory) && is_below(fd, directory))
	{
		if (strcmp(word, "hang") != 0)
		{
			errno = ENOSPC;
			return 1;
		}
		usleep(20000);
	}
	return 0;
}

ssize_t
write(int fd, const void *data, size_t size)
{
	return is_full(fd) ? -1 : ((WriteFn) dlsym(RTLD_NEXT, "write")) (fd, data, size);
}

ssize_t
pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return is_full(fd) ? -1 : ((PwriteFn) dlsym(RTLD_NEXT, "pwrite")) (fd, data, size, offset);
}

ssize_t
pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return is_full(fd) ? -1 : ((PwriteFn) dlsym(RTLD_NEXT, "pwrite64")) (fd, data, size, offset);
}

ssize_t
writev(int fd, const struct iovec *data, int n)
{
	return is_full(fd) ? -1 : ((WritevFn) dlsym(RTLD_NEXT, "writev")) (fd, data, n);
}

ssize_t
pwritev(int fd, const struct iovec *data, int n, off_t offset)
{
	return is_full(fd) ? -1 : ((PwritevFn) dlsym(RTLD_NEXT, "pwritev")) (fd, data, n, offset);
}
