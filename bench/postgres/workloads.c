/*
 * The workloads of one process, with the shapes of those of the same names in bench/loops.js.
 */
#include "bench.h"

#include <sys/mman.h>

#define LEAST 8
#define SIZES 1017
#define FIFO_OBJECTS 1024
#define FIFO_LEAST 16
#define FIFO_SIZES 241
#define BURST_OBJECTS 100000
#define BURST_SIZE 64
#define SEQUENCE 4096
#define RANGE_PAGES 4096

/* Keeps the compiler from leaving work out. */
static volatile uint64 sink;

static void
prepare_nothing(Bench *bench)
{
}

static uint64
run_pair(Bench *bench, int64 operations)
{
	dsa_area   *area = bench->area;
	size_t		size = bench->a;
	uint64		start = now_ns();

	for (int64 i = 0; i < operations; i++)
		dsa_free(area, dsa_allocate(area, size));
	return now_ns() - start;
}

static void
new_tables(Bench *bench, int64 count)
{
	bench->pointers = MemoryContextAllocHuge(CurrentMemoryContext, count * sizeof(dsa_pointer));
	bench->sizes = MemoryContextAllocHuge(CurrentMemoryContext, count * sizeof(int32));
}

/* The first and the last whole word of the object at place k become k. */
static inline void
mark(Bench *bench, int64 k)
{
	char	   *bytes = dsa_get_address(bench->area, bench->pointers[k]);

	*(int32 *) bytes = (int32) k;
	*(int32 *) (bytes + ((bench->sizes[k] - 4) & ~3)) = (int32) k;
}

static inline void
check(Bench *bench, int64 k)
{
	char	   *bytes = dsa_get_address(bench->area, bench->pointers[k]);

	if (*(int32 *) bytes != (int32) k || *(int32 *) (bytes + ((bench->sizes[k] - 4) & ~3)) != (int32) k)
		elog(ERROR, "an object was overwritten");
}

/* a: live objects */
static void
prepare_replace(Bench *bench)
{
	new_tables(bench, bench->a);
	for (int64 k = 0; k < bench->a; k++)
	{
		bench->sizes[k] = LEAST + random_below(&bench->random, SIZES);
		bench->pointers[k] = dsa_allocate(bench->area, bench->sizes[k]);
		mark(bench, k);
	}
}

static uint64
run_replace(Bench *bench, int64 operations)
{
	dsa_area   *area = bench->area;
	dsa_pointer *pointers = bench->pointers;
	int64		live = bench->a;
	uint64		random = bench->random;
	uint64		start = now_ns();

	for (int64 i = 0; i < operations; i++)
	{
		uint64		k = random_below(&random, live);

		dsa_free(area, pointers[k]);
		pointers[k] = dsa_allocate(area, LEAST + random_below(&random, SIZES));
	}
	bench->random = random;
	return now_ns() - start;
}

static uint64
run_replace_touched(Bench *bench, int64 operations)
{
	uint64		start = now_ns();

	for (int64 i = 0; i < operations; i++)
	{
		uint64		k = random_below(&bench->random, bench->a);

		check(bench, k);
		dsa_free(bench->area, bench->pointers[k]);
		bench->sizes[k] = LEAST + random_below(&bench->random, SIZES);
		bench->pointers[k] = dsa_allocate(bench->area, bench->sizes[k]);
		mark(bench, k);
	}
	return now_ns() - start;
}

static void
prepare_fifo(Bench *bench)
{
	new_tables(bench, FIFO_OBJECTS);
	for (int64 k = 0; k < FIFO_OBJECTS; k++)
		bench->pointers[k] = dsa_allocate(bench->area, FIFO_LEAST + random_below(&bench->random, FIFO_SIZES));
}

static uint64
run_fifo(Bench *bench, int64 operations)
{
	dsa_area   *area = bench->area;
	dsa_pointer *pointers = bench->pointers;
	uint64		random = bench->random;
	int64		head = bench->head;
	uint64		start = now_ns();

	for (int64 i = 0; i < operations; i++)
	{
		dsa_free(area, pointers[head]);
		pointers[head] = dsa_allocate(area, FIFO_LEAST + random_below(&random, FIFO_SIZES));
		head = (head + 1) & (FIFO_OBJECTS - 1);
	}
	bench->head = head;
	bench->random = random;
	return now_ns() - start;
}

static void
prepare_burst(Bench *bench)
{
	new_tables(bench, BURST_OBJECTS);
}

static int64
burst_operations(Bench *bench)
{
	return BURST_OBJECTS;
}

/* a: 0 counts the allocations, 1 the frees, in random order */
static uint64
run_burst(Bench *bench, int64 operations)
{
	dsa_area   *area = bench->area;
	dsa_pointer *pointers = bench->pointers;
	uint64		start = now_ns();
	uint64		filled;
	uint64		shuffled;

	for (int64 i = 0; i < operations; i++)
		pointers[i] = dsa_allocate(area, BURST_SIZE);
	filled = now_ns();
	for (int64 i = operations - 1; i > 0; i--)
	{
		int64		k = random_below(&bench->random, i + 1);
		dsa_pointer other = pointers[k];

		pointers[k] = pointers[i];
		pointers[i] = other;
	}
	shuffled = now_ns();
	for (int64 i = 0; i < operations; i++)
		dsa_free(area, pointers[i]);
	return bench->a == 0 ? filled - start : now_ns() - shuffled;
}

/* a: size, b: objects */
static void
prepare_all(Bench *bench)
{
	new_tables(bench, bench->b);
}

static int64
all_operations(Bench *bench)
{
	return bench->b;
}

static uint64
run_all(Bench *bench, int64 operations)
{
	dsa_area   *area = bench->area;
	dsa_pointer *pointers = bench->pointers;
	size_t		size = bench->a;
	uint64		start = now_ns();

	for (int64 i = 0; i < operations; i++)
		pointers[i] = dsa_allocate(area, size);
	for (int64 i = 0; i < operations; i++)
		dsa_free(area, pointers[i]);
	return now_ns() - start;
}

/* a: objects, b: size */
static void
prepare_address(Bench *bench)
{
	dsa_pointer *live = MemoryContextAllocHuge(CurrentMemoryContext, bench->a * sizeof(dsa_pointer));

	bench->pointers = palloc(SEQUENCE * sizeof(dsa_pointer));
	for (int64 i = 0; i < bench->a; i++)
		live[i] = dsa_allocate(bench->area, bench->b);
	for (int i = 0; i < SEQUENCE; i++)
		bench->pointers[i] = live[random_below(&bench->random, bench->a)];
}

static uint64
run_address(Bench *bench, int64 operations)
{
	uint64		sum = 0;
	uint64		start = now_ns();

	for (int64 i = 0; i < operations; i++)
		sum += (uintptr_t) dsa_get_address(bench->area, bench->pointers[i & (SEQUENCE - 1)]);
	sink = sum;
	return now_ns() - start;
}

/* a: pages of a request, b: holes, isolated free pages beside one long range */
static void
prepare_pages(Bench *bench)
{
	size_t		pages = 1 + 2 * bench->b + RANGE_PAGES;
	char	   *base = mmap(NULL, pages * FPM_PAGE_SIZE, PROT_READ | PROT_WRITE,
							MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		elog(ERROR, "mmap failed: %m");
	bench->pages = (FreePageManager *) (base + 56);
	FreePageManagerInitialize(bench->pages, base);
	FreePageManagerPut(bench->pages, 1 + 2 * bench->b, RANGE_PAGES);
	for (int64 i = 0; i < bench->b; i++)
		FreePageManagerPut(bench->pages, 1 + 2 * i, 1);
}

static uint64
run_pages(Bench *bench, int64 operations)
{
	FreePageManager *pages = bench->pages;
	uint64		start = now_ns();

	for (int64 i = 0; i < operations; i++)
	{
		size_t		first;

		if (!FreePageManagerGet(pages, bench->a, &first))
			elog(ERROR, "no free pages");
		FreePageManagerPut(pages, first, bench->a);
	}
	return now_ns() - start;
}

static uint64
run_random_numbers(Bench *bench, int64 operations)
{
	uint64		sum = 0;
	uint64		start = now_ns();

	for (int64 i = 0; i < operations; i++)
		sum += random_below(&bench->random, bench->a) + random_below(&bench->random, SIZES);
	sink = sum;
	return now_ns() - start;
}

const Workload bench_workloads[] = {
	{"pair", prepare_nothing, run_pair, NULL},
	{"replace", prepare_replace, run_replace, NULL},
	{"replace-touched", prepare_replace, run_replace_touched, NULL},
	{"fifo", prepare_fifo, run_fifo, NULL},
	{"burst", prepare_burst, run_burst, burst_operations},
	{"all", prepare_all, run_all, all_operations},
	{"address", prepare_address, run_address, NULL},
	{"pages", prepare_pages, run_pages, NULL},
	{"random-numbers", prepare_nothing, run_random_numbers, NULL},
	{NULL, NULL, NULL, NULL},
};
