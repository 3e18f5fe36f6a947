/*
 * The benchmark's workloads on the C original: a module for a PostgreSQL server, whose own dsa.c and freepage.c do the
 * work. Nothing here is part of the library.
 */
#ifndef SHAREDHEAP_BENCH_H
#define SHAREDHEAP_BENCH_H

#include "postgres.h"

#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/dsa.h"
#include "utils/freepage.h"
#include "utils/memutils.h"

/* What a workload works on; filled by its `prepare`. a and b are its parameters. */
typedef struct Bench
{
	int64		a;
	int64		b;
	dsa_area   *area;
	dsa_pointer *pointers;
	int32	   *sizes;
	int64		head;
	uint64		random;
	FreePageManager *pages;
} Bench;

/*
 * A workload. `run` does so many operations and returns the nanoseconds that count: usually those of the whole call.
 * `operations` is 0 when the caller may choose a number, else that of each call.
 */
typedef struct Workload
{
	const char *name;
	void		(*prepare) (Bench *bench);
	uint64		(*run) (Bench *bench, int64 operations);
	int64		(*operations) (Bench *bench);
} Workload;

extern const Workload bench_workloads[];

extern int	bench_tranche(void);

/* Seeds and random numbers: xorshift, scaled by a multiplication, as in bench/random.js but with 64 bits. */
#define BENCH_SEED UINT64CONST(88172645463325252)

static inline uint64
next_random(uint64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64CONST(2685821657736338717);
}

static inline uint64
random_below(uint64 *state, uint64 n)
{
	return (uint64) (((unsigned __int128) next_random(state) * n) >> 64);
}

static inline uint64
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

#endif
