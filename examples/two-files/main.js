import { Piscina } from 'piscina';
import { SharedHeap } from 'sharedheap';

const heap = SharedHeap.create();
const filename = new URL('worker.js', import.meta.url).href;
const pool = new Piscina({ filename, maxThreads: 2, workerData: { heap: heap.handle } });

const ptr = await pool.run({ text: 'hello from a worker' }); // a number, not a copy
console.log(heap.getString(ptr)); // read where it lies
console.log(heap.sizeOf(ptr), 'bytes at', ptr.toString(16));
heap.free(ptr); // another thread allocated it
console.log(heap.stats().liveObjects, 'live objects');
await pool.close();
