/*
 * Several server processes on one pinned area. Each is a session of driver.js; all begin when the wall clock says so.
 */
#include "bench.h"

PG_FUNCTION_INFO_V1(bench_area_create);
PG_FUNCTION_INFO_V1(bench_area_attach);
PG_FUNCTION_INFO_V1(bench_area_run);
PG_FUNCTION_INFO_V1(bench_area_leave);

/* Operations between two looks at the clock. */
#define BLOCK 256

#define LEAST 8
#define SIZES 1017

static dsa_area *area = NULL;

/* Keeps the compiler from leaving the arithmetic out. */
static volatile uint64 sink;

/* Creates and pins an area; returns its handle. */
Datum
bench_area_create(PG_FUNCTION_ARGS)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	area = dsa_create(bench_tranche());
	dsa_pin_mapping(area);
	dsa_pin(area);
	MemoryContextSwitchTo(old);
	PG_RETURN_INT64(dsa_get_handle(area));
}

Datum
bench_area_attach(PG_FUNCTION_ARGS)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	area = dsa_attach((dsa_handle) PG_GETARG_INT64(0));
	dsa_pin_mapping(area);
	MemoryContextSwitchTo(old);
	PG_RETURN_INT64(dsa_get_handle(area));
}

static void
block_of_pairs(size_t size)
{
	for (int i = 0; i < BLOCK; i++)
		dsa_free(area, dsa_allocate(area, size));
}

static void
block_of_replacements(dsa_pointer *pointers, int64 live, uint64 *random)
{
	for (int i = 0; i < BLOCK; i++)
	{
		uint64		k = random_below(random, live);

		dsa_free(area, pointers[k]);
		pointers[k] = dsa_allocate(area, LEAST + random_below(random, SIZES));
	}
}

/* What the machine's second processor is worth: work that touches no memory. */
static void
block_of_arithmetic(uint64 *random)
{
	uint64		sum = 0;

	for (int i = 0; i < BLOCK; i++)
		sum += next_random(random);
	sink = sum;
}

static void
wait_until(double epoch_seconds)
{
	struct timespec ts;

	do
	{
		CHECK_FOR_INTERRUPTS();
		clock_gettime(CLOCK_REALTIME, &ts);
	} while (ts.tv_sec + ts.tv_nsec * 1e-9 < epoch_seconds);
}

/*
 * (work, start_at, milliseconds, seed, live): works from then on for so long. pair64, pair1024: pairs of that size;
 * mixed: random replacement among so many live objects; arithmetic. Returns operations per millisecond.
 */
Datum
bench_area_run(PG_FUNCTION_ARGS)
{
	char	   *work = text_to_cstring(PG_GETARG_TEXT_PP(0));
	uint64		milliseconds = (uint64) PG_GETARG_FLOAT8(2);
	uint64		random = BENCH_SEED ^ ((uint64) PG_GETARG_INT64(3) * UINT64CONST(0x9e3779b97f4a7c15));
	int64		live = strcmp(work, "mixed") == 0 ? PG_GETARG_INT64(4) : 0;
	size_t		size = strncmp(work, "pair", 4) == 0 ? strtoul(work + 4, NULL, 10) : 0;
	dsa_pointer *pointers = palloc(Max(live, 1) * sizeof(dsa_pointer));
	int64		operations = 0;
	uint64		begin;
	uint64		now;

	if (area == NULL)
		elog(ERROR, "no area is attached");
	for (int64 i = 0; i < live; i++)
		pointers[i] = dsa_allocate(area, LEAST + random_below(&random, SIZES));
	wait_until(PG_GETARG_FLOAT8(1));
	begin = now_ns();
	do
	{
		if (live > 0)
			block_of_replacements(pointers, live, &random);
		else if (size > 0)
			block_of_pairs(size);
		else
			block_of_arithmetic(&random);
		operations += BLOCK;
		now = now_ns();
	} while (now < begin + milliseconds * 1000000);
	for (int64 i = 0; i < live; i++)
		dsa_free(area, pointers[i]);
	PG_RETURN_FLOAT8(operations / ((now - begin) / 1e6));
}

/* Gives up the attachment; the creator also unpins the area. */
Datum
bench_area_leave(PG_FUNCTION_ARGS)
{
	if (area == NULL)
		elog(ERROR, "no area is attached");
	if (PG_GETARG_BOOL(0))
		dsa_unpin(area);
	dsa_detach(area);
	area = NULL;
	PG_RETURN_INT64(0);
}
