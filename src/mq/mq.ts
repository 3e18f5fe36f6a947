/** Shared message queues, one sender and one receiver (PostgreSQL, storage/ipc/shm_mq.c). Entry of the folder; see its parts. */

export { MAX_MQ_MESSAGE, MINIMUM_MQ_SIZE } from './layout.js';
export { MessageQueue } from './queue.js';
export { MqReceiver } from './receiver.js';
export { MqSender, type MqSendOptions } from './sender.js';
export {
  MQ_DETACHED,
  MQ_SUCCESS,
  MQ_WOULD_BLOCK,
  type MqAttachOptions,
  type MqPeer,
  type MqResult,
  type MqWaitOptions,
} from './side.js';
