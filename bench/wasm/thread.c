/*
 * The one thing that the allocators' modules need and emscripten does not export: a thread's record. pthread_create
 * allocates and fills it, with the thread's stack and its places for thread-specific data, and then asks JavaScript to
 * start the thread; our loader (bench/subjects/wasm.js) only notes the record, and a worker enters it later.
 */
#include <pthread.h>

static void *
nothing(void *argument)
{
	return argument;
}

/* 0, or an error number. */
int
bench_prepare_thread(void)
{
	pthread_t	thread;

	return pthread_create(&thread, NULL, nothing, NULL);
}
