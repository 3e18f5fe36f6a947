/** A worker that joins a cluster, attaches to an area, says so, and does nothing until it is ended from outside. */

import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';

DsaArea.attach(Dsm.join(workerData.cluster), workerData.area);
parentPort?.on('message', () => {});
parentPort?.postMessage('attached');
