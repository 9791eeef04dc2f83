// Tested by test/runs/reply.test.ts
import type { StreamOwner } from '../stream/contracts.js'
import { RunReader } from '../runs/reader.js'
import type { EventStream } from '../stream/event-stream.js'
import type { Callbacks } from './callbacks.js'

/** Handles the opening of a stream that reads a run: calls its callbacks, then sends the events of the run. */
export class RunStreamOwner implements StreamOwner<EventStream> {
  readonly #callbacks: Callbacks

  constructor (callbacks: Callbacks) {
    this.#callbacks = callbacks
  }

  onOpen (stream: EventStream): void {
    this.#callbacks.connected(stream, (stream) => {
      stream.startDelivery()
      sendRun(stream, this.#callbacks)
    })
  }

  onClose (stream: EventStream): Promise<unknown> | undefined {
    return this.#callbacks.disconnected(stream)
  }
}

/** Sends the events of the run that a stream reads. Aborts the stream if they cannot be read. */
export async function sendRun (stream: EventStream, callbacks: Callbacks): Promise<void> {
  try {
    if (stream.producer instanceof RunReader) await stream.producer.run(stream)
  } catch (error) {
    await callbacks.abort(error, stream)
  }
}
