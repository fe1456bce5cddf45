/* plot.c: the file that vdb-bench --plot writes: a picture that appears when it is complete.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int cannot_create(const struct plot *plot)
{
    cli_message(plot->cli, "%s: %s", plot->path, strerror(errno));
    return CLI_CANTCREAT;
}

int plot_open(struct plot *plot)
{
    struct stat st;
    if (stat(plot->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        plot->out = fopen(plot->path, "we"); /* a device or a pipe: nothing to put in its place */
        return plot->out ? CLI_OK : cannot_create(plot);
    }
    int fd = newfile_open(&plot->file, plot->path);
    if (fd < 0) return cannot_create(plot);
    plot->out = fdopen(fd, "w");
    if (plot->out) return CLI_OK;
    close(fd);
    return cannot_create(plot);
}

/* Returns an exit status; the file is closed in either case. */
static int write_out(struct plot *plot, const struct plot_curve *curve)
{
    plot_draw(plot->out, curve);
    errno = 0;
    bool failed = fflush(plot->out) != 0 || ferror(plot->out) ||
                  (plot->file.open && fdatasync(fileno(plot->out)) != 0);
    int error = errno;
    failed = fclose(plot->out) != 0 || failed;
    plot->out = NULL;
    if (!failed) return CLI_OK;
    cli_message(plot->cli, "%s: %s", plot->path, strerror(error ? error : EIO));
    return CLI_IOERR;
}

int plot_close(struct plot *plot, int status, const struct plot_curve *curve)
{
    if (plot->out && status == CLI_OK) status = write_out(plot, curve);
    if (plot->out) fclose(plot->out);
    plot->out = NULL;
    if (status == CLI_OK && plot->file.open && !newfile_publish(&plot->file))
        status = cannot_create(plot);
    newfile_discard(&plot->file);
    return status;
}
