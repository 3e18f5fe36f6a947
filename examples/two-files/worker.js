import { workerData } from 'piscina';
import { SharedHeap } from 'sharedheap';

const heap = SharedHeap.attach(workerData.heap); // once per worker

export default ({ text }) => heap.putString(text.toUpperCase());
