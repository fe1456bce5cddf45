/* hnsw_build.cc: builds hnswlib's index over the images with N threads, says how long the
 * insertions took, and saves it for side_by_side.
 *
 * Usage: hnsw_build IMAGES OUTPUT THREADS. Reading and converting the images is outside the time,
 * and so is saving: all that counts against the peer is addPoint.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <hnswlib/hnswlib.h>
#include <time.h>

#include <atomic>
#include <thread>

#include "fashion.h"

static double now(clockid_t clock)
{
    timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 4) fail("usage", "hnsw_build IMAGES OUTPUT THREADS");
    Images images = read_images(argv[1]);
    std::vector<float> x = images.floats();
    hnswlib::L2Space space(images.dim);

    double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    hnswlib::HierarchicalNSW<float> index(&space, images.rows, 16, 200);
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < atoi(argv[3]); t++)
        threads.emplace_back([&] {
            for (size_t i; (i = next++) < images.rows;) index.addPoint(&x[i * images.dim], i);
        });
    for (std::thread &thread : threads) thread.join();
    printf("%.3f %.3f\n", now(CLOCK_MONOTONIC) - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);

    index.saveIndex(argv[2]);
    return 0;
}
