/*
 * bench_run: measures one workload in this server process, by the rules of bench/measure.js: warm up, choose a number of
 * operations whose call takes some milliseconds, time such calls for a while, return the nanoseconds per operation of
 * each.
 */
#include "bench.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_run);

/* Most samples: with calls of 5 ms, twenty seconds. */
#define MOST_SAMPLES 4096
/* Most operations of a call. */
#define MOST_OPERATIONS (INT64CONST(1) << 26)

/* What the third argument holds, in milliseconds, but for the last: a number. */
typedef struct Effort
{
	double		call;
	double		warm_up;
	double		time;
	double		calls;
} Effort;

int
bench_tranche(void)
{
	static int	tranche = 0;

	if (tranche == 0)
	{
		tranche = LWLockNewTrancheId();
		LWLockRegisterTranche(tranche, "sharedheap_bench");
	}
	return tranche;
}

static const Workload *
find_workload(const char *name)
{
	for (const Workload *w = bench_workloads; w->name != NULL; w++)
		if (strcmp(w->name, name) == 0)
			return w;
	elog(ERROR, "unknown workload \"%s\"", name);
}

static Effort
effort_argument(ArrayType *array)
{
	Effort		effort;

	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != 4 || ARR_HASNULL(array))
		elog(ERROR, "the effort is four numbers");
	memcpy(&effort, ARR_DATA_PTR(array), sizeof(effort));
	return effort;
}

/* Operations whose call takes so many milliseconds at the speed of now. */
static int64
operations_for(const Workload *w, Bench *bench, double milliseconds, int64 from)
{
	for (int64 n = from;; n *= 2)
		if (w->run(bench, n) >= milliseconds * 1e6 || n >= MOST_OPERATIONS)
			return n;
}

static int64
warm_up(const Workload *w, Bench *bench, const Effort *effort)
{
	uint64		start = now_ns();
	int64		n;

	if (w->operations != NULL)
	{
		n = w->operations(bench);
		w->run(bench, n);
		return n;
	}
	n = operations_for(w, bench, effort->call, 16);
	while (now_ns() - start < effort->warm_up * 1e6)
		w->run(bench, n);
	return operations_for(w, bench, effort->call, n);
}

Datum
bench_run(PG_FUNCTION_ARGS)
{
	const Workload *w = find_workload(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Effort		effort = effort_argument(PG_GETARG_ARRAYTYPE_P(3));
	Datum	   *samples = palloc(MOST_SAMPLES * sizeof(Datum));
	Bench		bench = {.a = PG_GETARG_INT64(1), .b = PG_GETARG_INT64(2), .random = BENCH_SEED};
	int			count = 0;
	int64		operations;
	uint64		start;

	bench.area = dsa_create(bench_tranche());
	dsa_pin_mapping(bench.area);
	w->prepare(&bench);
	operations = warm_up(w, &bench, &effort);
	start = now_ns();
	while (count < MOST_SAMPLES && (count < effort.calls || now_ns() - start < effort.time * 1e6))
	{
		samples[count++] = Float8GetDatum((double) w->run(&bench, operations) / operations);
		CHECK_FOR_INTERRUPTS();
	}
	dsa_detach(bench.area);
	PG_RETURN_ARRAYTYPE_P(construct_array(samples, count, FLOAT8OID, 8, true, TYPALIGN_DOUBLE));
}
