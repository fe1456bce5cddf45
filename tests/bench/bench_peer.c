/* bench_peer.c: builds hnswlib's index of an idx file and prints how many seconds that took.
 *
 * bench_peer IMAGES THREADS OUTPUT. Reading the images and saving the index are not counted.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/peer.h"

#define M               16
#define EF_CONSTRUCTION 200

int main(int argc, char **argv)
{
    if (argc != 4) die("usage: bench_peer IMAGES THREADS OUTPUT");
    struct images images = images_read(argv[1]);
    float *vectors = images_as_floats(&images);
    double begin = seconds();
    struct peer *peer = peer_create(images.dim, images.count, M, EF_CONSTRUCTION);
    if (peer == NULL ||
        peer_build(peer, vectors, images.count, (unsigned)strtoul(argv[2], NULL, 10)) != 0)
        die("hnswlib could not build its index");
    printf("%.3f\n", seconds() - begin);
    if (peer_save(peer, argv[3]) != 0) die("%s: hnswlib could not save its index", argv[3]);
    peer_free(peer);
    free(vectors);
    free(images.bytes);
    return 0;
}
